"""The schemas are what the readers take: an editor and Cosmos say the same of a file."""

from __future__ import annotations

import base64
import copy
import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from nacl.signing import SigningKey

from cosmos.cli.recording import schema_of
from cosmos.cli.schemas import DOCUMENTS, schema
from cosmos.errors import Malformed
from cosmos.model.constellation import Constellation
from cosmos.model.galaxy import GalaxyIndex
from cosmos.model.home_settings import HomeSettings
from cosmos.model.image import Image
from cosmos.model.settings import Settings
from cosmos.model.star import Recipe
from cosmos.model.template import Declarations
from cosmos.stellar.ecosystems import RULES
from cosmos.tables import Table
from cosmos.trust.roots import TrustRoots
from fakes.programs import REPO, Cosmos

pytestmark = pytest.mark.xdist_group("schema")  # one process imports jsonschema, which takes seconds

OWN = [
    *(("image", file) for file in sorted(REPO.glob("images/*/image.toml"))),
    *(("star", file) for file in sorted(REPO.glob("stars/*/star.toml"))),
    *(("template", file) for file in sorted(REPO.glob("rootfs-templates/*/template.toml"))),
    ("constellation", REPO / "images/rescue/rescue-tools.toml"),
]
READERS = {
    "image": Image.parse,
    "star": lambda data, source: Recipe.parse(data, source, RULES),
    "template": Declarations.parse,
    "constellation": Constellation.parse,
    "config": Settings.parse,
    "home": HomeSettings.parse,
    "trust": TrustRoots.parse,
    "meta": GalaxyIndex.parse,
}
KEYS = [
    f"cosmos-key-v1 ed25519 k{n} {base64.b64encode(bytes(SigningKey(bytes([n]) * 32).verify_key)).decode()}"
    for n in range(3)
]
# What stands at the top of each format's module: its specification, which its readers take.
SPECIFIED = {
    "image": """name = "rescue"\nversion = "1.0.0"\narch = "x86_64"\ntemplate = "rescue"\nconstellations = ["a.toml"]
finish = "finish.lua"\nsource-date-epoch = 1\ntrust = "trust.toml"\ncounter = 3\nmarker = "X"\n[stars]
busybox = "^1.35"
[galaxies]\ncore = "../galaxy"\nmine = { url = "http://10.0.0.1:8000", allow-unsigned = true }\n[vars]\na = [1]
[[output]]\nformat = "tar.zst"\nlevel = 9\n[[output]]\nformat = "cpio.zst"\nexclude = ["boot/**"]\n[[output]]
format = "file"\npath = "boot/vmlinuz"\nas = "vmlinuz"\n[policy]\nsize-budget-bytes = 1\nowners = { "etc/motd" = "a" }
unsigned-release = false\nsetuid = ["sudo"]\nlog = true\nbadges = { test = 2 }\nsigned-lock = false\nunsteady = ["a"]
[policy.waive.dangling-symlink]\nreason = "x"\nuntil = 7\npaths = ["var/**"]\n""",
    "star": """name = "a"\nversion = "1-2"\nversion-scheme = "debian"\nsource = ["deb:a", "tar:a.tar"]
suite = "bookworm"\nstrip = 1
arch = "x86_64"\nany-of = ["a | b"]\nprovides = { x = "1.0.0", y = ["1.0.0", ""] }\nconflicts = { z = ["*"] }
authors = ["a"]\n[unpack]\nonly = ["a"]\nrename = { a = "b" }\n""",
    "template": """merged-usr = true\n[variables.a]\ntype = "integer"\ndefault = 3\nmeaning = "x"\n[variables.b]
type = "strings"\ndefault = ["x"]\nmeaning = "x"\n[variables.c]\ntype = "secret"\nmeaning = "x"\n[paths]
tmp = { kind = "dir", mode = "1777" }\ninit = { kind = "symlink", target = "a" }
"dev/console" = { kind = "char", mode = "0600", major = 5, minor = 1 }\n""",
    "constellation": 'name = "a"\nmembers = ["a@^1"]\nsomething-of-upstream = 3\n',
    "config": """install_dir = "/"\nnewer-trust = "stop"\n[galaxies]\na = "x"\nb = { url = "x", allow-unsigned = true }
[policy]\nrun = ["a"]\nbadges = { test = 1 }\n[network]\nnetrc = "/x"\nca = "/y"\n""",
    "trust": f"""trust-version = 2\nversion = 3\ndescription = "x"\n[roles.root]\nthreshold = 1\nkeys = ["{KEYS[0]}"]
[roles.galaxy]\nthreshold = 1\nkeys = ["{KEYS[1]}"]\n[roles.author]\nthreshold = 1\n[[author]]\nkey = "{KEYS[2]}"
galaxies = ["core"]\nstars = ["lib*", "zlib"]\n[floor.galaxies]\ncore = 7\n[recovered.logs]\ncore = 3
[[revoked]]\nkey = "ed25519:{"ab" * 32}"\nreason = "stolen laptop"\neffective-seq = 0\n""",
    "meta": f"""format = 2\nname = "core"\ndescription = "x"\nversion = "2026.11.29"\nseq = 3\nsomething-of-upstream = 1
[catalogue]\ndigest = "sha256:{"0" * 64}"\nsize-bytes = 10\n[stars]\nzlib = "1.3.1"\n[checksums]\nzlib = "{"0" * 64}"
[[snapshot]]\nname = "zlib"\nversion = "1.3.1"\narch = "x86_64"\nstatement = "sha256:{"1" * 64}"
archive = "sha256:{"0" * 64}"\nprovides = "libz"\n""",
    "home": '[store]\nlimit = "20 GiB"\nsigned-from-memory = true\n',
}


# Tables whose keys are names of the person's own choice.
CHOSEN = {
    *("vars", "stars", "galaxies", "variables", "paths", "owners", "waive", "provides", "conflicts", "rename"),
    *("logs", "checksums"),
}


def judged(name: str, document: object) -> list[str]:
    """Return what the validator finds wrong."""
    import jsonschema  # here, because each process of a parallel run imports all test files

    validator = jsonschema.Draft7Validator(schema(name))
    return [error.message for error in validator.iter_errors(document)]


@pytest.mark.parametrize(("name", "file"), OWN, ids=lambda value: str(value)[-40:])
def test_every_file_of_this_repository_is_good_for_the_reader_and_for_its_schema(name: str, file: Path) -> None:
    READERS[name](file.read_bytes(), str(file))
    assert judged(name, tomllib.loads(file.read_text())) == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_schema_is_one_and_takes_what_the_reader_takes(name: str) -> None:
    import jsonschema

    jsonschema.Draft7Validator.check_schema(schema(name))
    READERS[name](SPECIFIED[name].encode(), "x")
    assert judged(name, tomllib.loads(SPECIFIED[name])) == []


def tables(value: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path of each table of a document whose keys are the format's."""
    yield path
    for key, inside in value.items():
        if isinstance(inside, dict) and key not in CHOSEN:
            yield from tables(inside, (*path, key))


@pytest.mark.parametrize("name", [name for name in DOCUMENTS if name not in ("constellation", "meta")])
def test_a_wrong_key_is_refused_by_both(name: str) -> None:
    for path in tables(tomllib.loads(SPECIFIED[name])):
        document = copy.deepcopy(tomllib.loads(SPECIFIED[name]))
        table = document
        for key in path:
            table = table[key]
        table["no-such-key"] = 1
        assert any("no-such-key" in said for said in judged(name, document)), path
        with pytest.raises(Malformed, match="unknown key"):
            DOCUMENTS[name].read(Table(document, "x"))


@pytest.mark.parametrize(
    ("name", "path", "wrong"),
    [
        ("image", ("name",), 3),
        ("image", ("source-date-epoch",), "now"),
        ("image", ("source-date-epoch",), True),
        ("image", ("counter",), 0),
        ("image", ("galaxies", "mine"), {"url": "x", "allow-unsinged": True}),
        ("image", ("policy", "log"), "yes"),
        ("image", ("policy", "waive", "dangling-symlink", "until"), "7"),
        ("image", ("stars", "busybox"), 1),
        ("star", ("type",), "nebulla"),
        ("star", ("unpack", "only"), "a"),
        ("template", ("variables", "a", "type"), "int"),
        ("template", ("paths", "tmp", "mode"), 493),
        ("config", ("newer-trust",), "wait"),
        ("home", ("store", "limit"), 20),
        ("trust", ("version",), "3"),
        ("trust", ("roles", "root", "keys"), "a key"),
        ("trust", ("roles", "root", "threshold"), True),
        ("trust", ("revoked",), {}),
        ("meta", ("seq",), "3"),
        ("meta", ("stars", "zlib"), 1),
        ("meta", ("catalogue", "size-bytes"), 0),
    ],
)
def test_a_wrong_type_or_word_is_refused_by_both(name: str, path: tuple[str, ...], wrong: object) -> None:
    document = tomllib.loads(SPECIFIED[name])
    table = document
    for key in path[:-1]:
        table = table[key]
    table[path[-1]] = wrong
    assert judged(name, document) != []
    with pytest.raises(Malformed):
        DOCUMENTS[name].read(Table(document, "x"))


def test_a_variant_states_its_name_and_its_base_and_nothing_else() -> None:
    assert judged("image", {"name": "kiosk", "extends": "../base"}) == []
    assert judged("image", {"extends": "../base"}) == ["'name' is a required property"]
    assert judged("image", {"name": "kiosk", "extends": 3}) == ["3 is not of type 'string'"]


def test_a_missing_key_is_refused_by_both() -> None:
    for name, key in (("image", "source-date-epoch"), ("star", "name"), ("template", "merged-usr")):
        document = tomllib.loads(SPECIFIED[name])
        del document[key]
        assert any(key in said for said in judged(name, document))
        with pytest.raises(Malformed, match="missing"):
            DOCUMENTS[name].read(Table(document, "x"))


def test_each_format_of_an_output_is_allowed_its_own_keys() -> None:
    rows = schema("image")["properties"]["output"]["items"]  # type: ignore[call-overload,index] # Json has no shape
    assert sorted(rows["properties"]) == ["as", "exclude", "format", "level", "path"]
    assert rows["properties"]["format"]["enum"] == ["tar.zst", "cpio.zst", "file"]
    assert rows["required"] == ["format"]


def test_a_reader_that_takes_no_sample_is_said_at_once() -> None:
    def read(table: Table) -> None:
        table.fail("a", "never good")

    with pytest.raises(ValueError, match="does not take"):
        schema_of(read)


def test_cosmos_schema_prints_lists_and_writes(cosmos: Cosmos, tmp_path: Path) -> None:
    assert cosmos("schema", "image").json() == schema("image")
    assert [line.split()[0] for line in cosmos("schema").ok().out.splitlines()] == [*DOCUMENTS]
    cosmos("schema", "--out", tmp_path / "schemas").ok()
    assert {file.name for file in (tmp_path / "schemas").iterdir()} == {f"{name}.schema.json" for name in DOCUMENTS}
    assert "'imag' is not one of" in cosmos("schema", "imag").fails(2).err
    assert "leave NAME out" in cosmos("schema", "image", "--out", tmp_path).fails(2).err


def test_the_first_line_of_a_new_file_names_a_schema_that_is_there(
    cosmos: Cosmos, stellar: Cosmos, tmp_path: Path
) -> None:
    cosmos("new", tmp_path / "demo", "--galaxy", "core", "../galaxy", "--epoch", "0").ok()
    stellar("new-star", "hello", "--folder", tmp_path / "stars", "--license", "MIT", "--description", "x").ok()
    for name, file in (
        ("image", tmp_path / "demo/image.toml"),
        ("template", tmp_path / "demo/template/template.toml"),
        ("star", tmp_path / "stars/hello/star.toml"),
    ):
        first = file.read_text().splitlines()[0]
        assert first.startswith("#:schema ")
        named = file.parent / first.removeprefix("#:schema ")
        assert json.loads(named.read_text()) == schema(name)
        READERS[name](file.read_bytes(), str(file))
    assert stellar("validate", tmp_path / "stars/hello").ok().out.endswith("good\n")


def test_a_list_that_its_reader_compares_with_another_key_may_be_left_out() -> None:
    """No sample of `given` is in `[vars]`: the schema must be made without it, and still allow it."""
    rows = schema("image")["properties"]
    assert isinstance(rows, dict)
    assert rows["given"] == {"type": "array", "items": {"type": "string"}}
