"""A galaxy's catalogue: the newest of each star and architecture in one line each, read strictly."""

from __future__ import annotations

from dataclasses import replace

import pytest
import tomli_w

from cosmos.digest import Digest
from cosmos.errors import Malformed
from cosmos.limits import MAX_SUMMARY_CHARACTERS
from cosmos.model.catalogue import Catalogue, NewerCatalogue, one_line
from cosmos.model.galaxy import CataloguePin, GalaxyIndex
from cosmos.model.names import Arch, GalaxyName, StarName
from cosmos.model.statement import Statement
from fakes.galaxies import StarSpec, make_signers, spec_files

CORE = GalaxyName("core")


def stated(name: str, version: str = "1.0.0", **fields: object) -> Statement:
    spec = StarSpec(name, version, **fields)  # type: ignore[arg-type]  # fields of a star in a test
    _, files = spec_files(spec, CORE, make_signers())
    return Statement.parse(files[f"stars/{spec.id}.toml"], "x")


def text(*statements: Statement) -> str:
    return tomli_w.dumps(Catalogue.of(CORE, statements).to_toml())


def test_it_has_the_newest_version_of_each_star_for_each_architecture() -> None:
    catalogue = Catalogue.of(
        CORE,
        [
            stated("b", "1.0.0"),
            stated("a", "1.9.0", arch="x86_64"),
            stated("a", "1.10.0", arch="x86_64"),
            stated("a", "2.0.0-rc.1", arch="x86_64"),
            stated("a", "1.1.0", arch="aarch64"),
            stated("c", "1.0.0-rc.1"),
        ],
    )
    assert [(row.name, str(row.version), row.arch) for row in catalogue.stars] == [
        ("a", "1.1.0", "aarch64"),
        ("a", "1.10.0", "x86_64"),
        ("b", "1.0.0", "any"),
        ("c", "1.0.0-rc.1", "any"),
    ]


def test_what_is_written_is_read_the_same() -> None:
    star = stated("zlib", "1:2-3", scheme="debian", provides={"libz": "", "gz": ""}, description="Grüße")
    catalogue = Catalogue.of(CORE, [star, stated("all", type="nebula")])
    assert Catalogue.parse(tomli_w.dumps(catalogue.to_toml()).encode(), "x") == catalogue
    (nebula, zlib) = catalogue.stars
    assert (nebula.type, zlib.provides, zlib.size_bytes) == (
        "nebula",
        (StarName("gz"), StarName("libz")),
        star.size_bytes,
    )


def test_the_order_of_the_statements_does_not_matter() -> None:
    stars = [stated("a"), stated("b"), stated("b", arch="x86_64")]
    assert text(*stars) == text(*reversed(stars))


def test_a_description_is_one_line_of_bounded_length() -> None:
    long = "word\n\t" * MAX_SUMMARY_CHARACTERS
    row = Catalogue.of(CORE, [stated("a", description=long)]).stars[0]
    assert row.description.startswith("word word ")
    assert (len(row.description), row.description[-1], "\n" in row.description) == (MAX_SUMMARY_CHARACTERS, "…", False)
    assert one_line(row.description) == row.description


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('license = "MIT"', 'licence = "MIT"', r"star\[0\]\.license: missing, but there is licence"),
        ('type = "normal"', 'type = "normal"\nmood = "x"', r"star\[0\]\.mood: unknown key"),
        ('type = "normal"', 'type = "meta"', "want one of normal, nebula"),
        ('description = "the test star a"', 'description = "two\\nlines"', "want one line of at most 400"),
        ('description = "the test star a"', f'description = "{"x" * 401}"', "want one line of at most 400"),
        ('arch = "any"', "", r"star\[0\]\.arch: missing"),
        ("size-bytes = ", "size-bytes = -", "size-bytes: want 0 to"),
        ('galaxy = "core"', 'galaxy = "a/b"', "galaxy: want letters"),
        ("format = 1", "format = 0", "format: want 1 to"),
        ("format = 1", "", "format: missing"),
        ("format = 1", "format = 1\nseq = 2", "seq: unknown key"),
    ],
)
def test_it_is_read_strictly(old: str, new: str, problem: str) -> None:
    whole = text(stated("a"))
    assert old in whole
    with pytest.raises(Malformed, match=problem):
        Catalogue.parse(whole.replace(old, new, 1).encode(), "x")


def test_a_star_that_is_described_twice_is_malformed() -> None:
    whole = text(stated("a"))
    row = whole[whole.index("[[star]]") :]
    with pytest.raises(Malformed, match="describes a star for one architecture twice"):
        Catalogue.parse(f"{whole}\n{row}".encode(), "x")


def test_a_newer_format_is_told_from_a_damaged_file() -> None:
    with pytest.raises(NewerCatalogue, match="want at most 1, got 2: this catalogue is for a newer cosmos") as error:
        Catalogue.parse(b"format = 2\nwhatever = 1\n", "x")
    assert error.value.hint == "update cosmos"


def test_a_catalogue_of_more_values_than_bytes_is_refused_before_it_is_parsed() -> None:
    bomb = b"format = 1\n" + b"".join(b"[a%d.b.c.d]\n" % number for number in range(300_000))
    with pytest.raises(Malformed, match="holds more values than a document of its size may"):
        Catalogue.parse(bomb, "x")


def test_an_index_names_its_catalogue_in_either_format() -> None:
    pin = CataloguePin.of(b"bytes")
    for number in (1, 2):
        index = GalaxyIndex(format=number, name=CORE, version="2026.01.01", seq=1, catalogue=pin)
        read = GalaxyIndex.parse(tomli_w.dumps(index.to_toml()).encode(), "meta.toml")
        assert (read.catalogue, read.warnings) == (pin, ())
    assert pin.path == f"catalogues/{Digest.of(b'bytes').hex}.toml"


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ('digest = "sha256:0"\nsize-bytes = 1', "catalogue.digest"),
        (f'digest = "{Digest.of(b"")}"\nsize-bytes = 0', "size-bytes: want 1 to 67108864"),
        (f'digest = "{Digest.of(b"")}"\nsize-bytes = 67108865', "size-bytes: want 1 to 67108864"),
        (f'digest = "{Digest.of(b"")}"', "catalogue.size-bytes: missing"),
        (f'digest = "{Digest.of(b"")}"\nsize-bytes = 1\nfile = "/etc/passwd"', "catalogue.file: unknown key"),
    ],
)
def test_an_index_pins_its_catalogue_strictly(table: str, problem: str) -> None:
    with pytest.raises(Malformed, match=problem):
        GalaxyIndex.parse(f'name = "core"\n[catalogue]\n{table}\n'.encode(), "meta.toml")


def test_a_star_for_a_machine_is_another_row_than_the_one_for_all() -> None:
    catalogue = Catalogue.of(CORE, [stated("a"), stated("a", arch="x86_64")])
    assert [row.arch for row in catalogue.stars] == [Arch("any"), Arch("x86_64")]
    assert replace(catalogue.stars[0], arch=Arch("x86_64"), size_bytes=0) == replace(catalogue.stars[1], size_bytes=0)
