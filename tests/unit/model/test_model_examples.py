"""Each document's own example, in its module and on its page, is read and written back; a misspelt key is named."""

from __future__ import annotations

import ast
import re
import textwrap
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import tomli_w

from cosmos.errors import Malformed
from cosmos.image.outputs.formats import read_outputs
from cosmos.model.catalogue import Catalogue
from cosmos.model.constellation import Constellation
from cosmos.model.galaxy import GalaxyIndex
from cosmos.model.image import Image
from cosmos.model.lock import Lock
from cosmos.model.star import Recipe, Star
from cosmos.model.statement import Statement
from cosmos.model.universe import Universe
from cosmos.stellar.ecosystems import RULES

HEX = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
PLACEHOLDERS = {
    "sha256:…": f"sha256:{HEX}",
    "ed25519:…": f"ed25519:{HEX}",
    '"9f…"': f'"{HEX}"',
    '"0100…"': '"0100"',
}


@dataclass(frozen=True)
class Document:
    """A format: its module, the parser, its page."""

    module: str
    parse: Callable[[bytes, str], object]
    page: str
    is_written: bool = True

    def __str__(self) -> str:
        return self.module


def _image(data: bytes, source: str) -> Image:
    """Read an image definition whole: each output's options are its format's to read."""
    image = Image.parse(data, source)
    read_outputs(image.outputs, source)
    return image


DOCUMENTS = [
    Document("star", Star.parse, "star"),
    Document("galaxy", GalaxyIndex.parse, "galaxy"),
    Document("catalogue", Catalogue.parse, "catalogue"),
    Document("image", _image, "image", is_written=False),
    Document("lock", Lock.parse, "lock"),
    Document("universe", Universe.parse, "universe"),
    Document("constellation", Constellation.parse, "constellation", is_written=False),
]
LENIENT = {"star", "galaxy", "constellation"}


def example(repo: Path, module: str) -> str:
    """The example in a module's docstring: its first indented block (or, in image, all of it), with whole digests."""
    tree = ast.parse((repo / f"builder/cosmos/model/{module}.py").read_text())
    lines = (ast.get_docstring(tree) or "").splitlines()[1:]
    start = next((place for place, line in enumerate(lines) if line.startswith("    ")), 0)
    ends = [place for place, line in enumerate(lines) if place > start and line and not line.startswith("    ")]
    block = lines[start : ends[0]] if start and ends else lines[start:]
    text = textwrap.dedent("\n".join(block)).strip() + "\n"
    for short, whole in PLACEHOLDERS.items():
        text = text.replace(short, whole)
    return text


def first_fence(page: str) -> str:
    match = re.search(r"^```toml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert match is not None, "the page has no example"
    return match[1]


def alike(value: object) -> object:
    """`value` with every digest the same."""
    if isinstance(value, dict):
        return {key: alike(below) for key, below in value.items()}
    if isinstance(value, list):
        return [alike(below) for below in value]
    return re.sub(r"[0-9a-f]{64}", "…", value) if isinstance(value, str) else value


def paths(value: object, above: str = "") -> Iterator[str]:
    """Every table of a document, as a dotted path; "" is the document itself."""
    if isinstance(value, dict):
        yield above
        for key, below in value.items():
            yield from paths(below, f"{above}.{key}" if above else key)
    elif isinstance(value, list):
        for place, below in enumerate(value):
            yield from paths(below, f"{above}[{place}]")


def table_at(document: dict[str, object], path: str) -> dict[str, object]:
    here: object = document
    for part in re.findall(r"[^.\[\]]+", path):
        here = here[int(part)] if isinstance(here, list) else here[part]  # type: ignore[index]  # a test's own walk
    assert isinstance(here, dict)
    return here


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_the_example_of_the_module_is_read(document: Document, repo: Path) -> None:
    document.parse(example(repo, document.module).encode(), "example.toml")


@pytest.mark.parametrize("document", [document for document in DOCUMENTS if document.is_written], ids=str)
def test_what_is_read_is_written_and_read_the_same(document: Document, repo: Path) -> None:
    once = document.parse(example(repo, document.module).encode(), "example.toml")
    written = tomli_w.dumps(once.to_toml())  # type: ignore[attr-defined]  # every written document has it
    assert document.parse(written.encode(), "written.toml") == once
    assert written == tomli_w.dumps(document.parse(written.encode(), "written.toml").to_toml())  # type: ignore[attr-defined]  # as above


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_the_page_shows_the_example_of_the_module(document: Document, repo: Path) -> None:
    page = (repo / f"docs/formats/{document.page}.md").read_text()
    shown = first_fence(page)
    document.parse(shown.encode(), "page.toml")
    assert alike(tomllib.loads(shown)) == alike(tomllib.loads(example(repo, document.module)))


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_the_page_says_what_every_key_means(document: Document, repo: Path) -> None:
    page = (repo / f"docs/formats/{document.page}.md").read_text()
    explained = "\n".join(line for line in page.splitlines() if line.startswith("|"))
    data = tomllib.loads(example(repo, document.module))
    named = {
        "stars",
        "constellations",
        "galaxies",
        "vars",
        "owners",
        "authors",
        "dependencies",
        "provides",
        "conflicts",
        "replaces",
    }
    named |= {"checksums", "installed", "xattrs"}  # tables whose keys are names that somebody chose
    keys: set[str] = set()
    for path in paths(data):
        last = re.sub(r"\[\d+\]", "", path).split(".")[-1]
        above = re.sub(r"\[\d+\]", "", path).split(".")[:-1]
        if last not in named and not (above and above[-1] == "constellations"):
            keys |= table_at(data, path).keys()
    forms = ("`{}`", "`[{}]`", "`[[{}]]`")
    assert {key for key in keys if not any(form.format(key) in explained for form in forms)} - {"entry"} == set()


@pytest.mark.parametrize("document", [one for one in DOCUMENTS if one.module not in LENIENT], ids=str)
def test_a_key_that_nobody_knows_is_named_with_its_path(document: Document, repo: Path) -> None:
    text = example(repo, document.module)
    free = re.compile(r"(^|\.)(vars|xattrs|stars|galaxies|owners|waive|constellations|installed)(\.[^.]+)?$")
    for path in paths(tomllib.loads(text)):
        data = tomllib.loads(text)
        table_at(data, path)["versoin"] = "x"
        if (
            free.search(path)
            and not re.search(r"(galaxies|waive)\.", path)
            and not re.fullmatch(r"installed\.\w+", path)
        ):
            continue
        dotted = re.escape(f"{path}.versoin" if path else "versoin")
        with pytest.raises(Malformed, match=f"^doc.toml: {dotted}: unknown key$"):
            document.parse(tomli_w.dumps(data).encode(), "doc.toml")


@pytest.mark.parametrize("document", [one for one in DOCUMENTS if one.module in LENIENT], ids=str)
def test_what_upstream_may_carry_besides_warns_and_passes(document: Document, repo: Path) -> None:
    read = document.parse(f"mood = 'fine'\n{example(repo, document.module)}".encode(), "doc.toml")
    assert read.warnings == ("mood",)  # type: ignore[attr-defined]  # every lenient document has warnings


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_a_value_of_another_type_is_refused_wherever_it_stands(document: Document, repo: Path) -> None:
    text = example(repo, document.module)
    for path in paths(tomllib.loads(text)):
        for key in table_at(tomllib.loads(text), path):
            if path == "vars":
                continue
            data = tomllib.loads(text)
            table_at(data, path)[key] = 1.5
            with pytest.raises(Malformed):
                document.parse(tomli_w.dumps(data).encode(), "doc.toml")


def test_a_lock_that_leaves_anything_out_is_refused(repo: Path) -> None:
    text = example(repo, "lock")
    for path in paths(tomllib.loads(text)):
        if re.fullmatch(r"request\.(stars|galaxies|constellations)(\..*)?", path):
            continue
        for key in table_at(tomllib.loads(text), path):
            if path == "" and key in ("galaxy", "star"):
                continue
            data = tomllib.loads(text)
            del table_at(data, path)[key]
            with pytest.raises(Malformed, match=rf"{key}: missing"):
                Lock.parse(tomli_w.dumps(data).encode(), "universe.lock.toml")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda data: data["galaxy"].append(data["galaxy"][0]), "names one galaxy twice"),
        (lambda data: data["star"][0].update(galaxy="other"), "'other' is not among the lock's galaxies"),
        (lambda data: data["star"][0].update(signers=[]), "zlib has no signer, and galaxy core does not allow that"),
        (lambda data: data["star"][0].update(file="../x"), "want a path inside the galaxy"),
        (lambda data: data["star"][0].update({"size-bytes": -1}), "want 0 to"),
        (lambda data: data.update({"lock-version": 3}), "this lock is for a newer cosmos"),
    ],
)
def test_a_lock_that_contradicts_itself_is_refused(repo: Path, change: Callable[[object], None], problem: str) -> None:
    data = tomllib.loads(example(repo, "lock"))
    change(data)
    with pytest.raises(Malformed, match=re.escape(problem)):
        Lock.parse(tomli_w.dumps(data).encode(), "universe.lock.toml")


def test_a_statement_is_a_manifest_with_one_table_more(repo: Path) -> None:
    tail = example(repo, "statement")
    text = example(repo, "star") + tail[tail.index("[statement]") :].replace("format = 1", "format = 2")
    once = Statement.parse(text.encode(), "zlib-1.3.1.toml")
    assert once.star == Star.parse(example(repo, "star").encode(), "star.toml")
    assert Statement.parse(tomli_w.dumps(once.to_toml()).encode(), "again.toml") == once
    with pytest.raises(Malformed, match=r"statement\.format: want 1 or 2"):
        Statement.parse(text.replace("format = 2", "format = 3").encode(), "other.toml")
    with pytest.raises(Malformed, match=r"statement\.sed: unknown key"):
        Statement.parse((text + "sed = 1\n").encode(), "other.toml")


@pytest.mark.parametrize(
    "line",
    [
        'version-scheme = "debian"',
        'any-of = ["a | b"]',
        'provides = { mail = "" }',
        'replaces = { zlib-dev = "<1.3" }',
        'provides = { mail = ["1.0.0", "2.0.0"] }',
        'conflicts = { zlib-ng = ["<1", ">2"] }',
        'conflicts = { zlib-ng = "<<1.0-2" }',
        'dependencies = { libc6 = ">=2.36-9" }',
    ],
)
def test_what_the_first_format_cannot_say_is_a_statement_of_the_second(repo: Path, line: str) -> None:
    tail = example(repo, "statement")
    text = f'name = "x"\nversion = "1.0.0"\n{line}\n' + tail[tail.index("[statement]") :]
    statement = Statement.parse(text.replace("format = 1", "format = 2").encode(), "x.toml")
    assert statement.to_toml()["statement"]["format"] == 2  # type: ignore[index]  # it is a table
    with pytest.raises(Malformed, match=r"statement\.format: want 2 for what this manifest says"):
        Statement.parse(text.encode(), "x.toml")


def test_what_the_first_format_can_say_is_written_in_it() -> None:
    star = Star.parse(b'name = "x"\nversion = "1.0.0"\n[dependencies]\ny = "^1"\n[provides]\nz = "1.0.0"\n', "x")
    assert star.is_plain


def test_a_lock_of_the_first_version_is_read_and_written_as_it_was(repo: Path) -> None:
    data = tomllib.loads(example(repo, "lock"))
    data["lock-version"] = 1
    for key in ("version-scheme", "needs", "provides", "conflicts", "stands-for"):
        del data["star"][0][key]
    lock = Lock.parse(tomli_w.dumps(data).encode(), "universe.lock.toml")
    assert not lock.carries_facts
    assert lock.to_toml() == data


def test_a_lock_that_says_twice_what_a_star_stands_for_is_malformed(repo: Path) -> None:
    data = tomllib.loads(example(repo, "lock"))
    data["star"][0]["stands-for"] = ["libc6", "libc6"]
    with pytest.raises(Malformed, match=r"star\[0\]\.stands-for: names one twice"):
        Lock.parse(tomli_w.dumps(data).encode(), "universe.lock.toml")


def test_the_recipe_of_the_page_is_read_and_a_misspelt_key_of_one_is_named(repo: Path) -> None:
    page = (repo / "docs/formats/star.md").read_text()
    fences = re.findall(r"^```toml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    recipe = Recipe.parse(fences[1].encode(), "star.toml", RULES)
    assert recipe.version is None
    assert recipe.sources
    assert recipe.unpack.only
    for line, path in (("moood = 1\n" + fences[1], "moood"), (fences[1] + "\nonyl = []\n", "unpack.onyl")):
        with pytest.raises(Malformed, match=f"star.toml: {path}: unknown key"):
            Recipe.parse(line.encode(), "star.toml", RULES)


def test_a_recipe_of_ones_own_sources_must_say_its_version() -> None:
    with pytest.raises(Malformed, match="version: missing"):
        Recipe.parse(b'name = "motd"\n', "star.toml", RULES)


def test_upstreams_shorter_forms_are_read() -> None:
    star = Star.parse(b'name = "a"\nversion = "1.0.0"\ntype = "meta"\nauthors = ["Ann"]\n', "star.toml")
    assert (star.type, dict(star.authors)) == ("nebula", {"Ann": ""})
    index = GalaxyIndex.parse(b'name = "up"\nstars = ["zlib", "nano"]\n', "meta.toml")
    assert dict(index.newest) == {"zlib": None, "nano": None}
    universe = Universe.parse(
        b'[system]\narch = "x86_64"\nversion = "1"\n[installed.zlib]\nversion = "1.3.1"\nfiles = ["/a"]\n', "u.toml"
    )
    assert universe.installed["zlib"].galaxy is None  # type: ignore[index]  # a name is a string


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b'name = "x"\nmembers = ["a", "a@^1"]\n', "members: names a star twice"),
        (b'name = "x"\nmembers = ["a@"]\n', r"members\[0\]: want a constraint"),
        (b'name = "x"\nmembers = ["a b"]\n', r"members\[0\]: want letters, digits"),
        (b'name = "x"\nmembres = ["a"]\n', "members: missing, but there is membres"),
    ],
)
def test_a_constellation_with_a_wrong_member_is_refused(text: bytes, problem: str) -> None:
    with pytest.raises(Malformed, match=problem):
        Constellation.parse(text, "tools.toml")
