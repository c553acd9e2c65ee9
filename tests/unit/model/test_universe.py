"""universe.toml in format 2: what is written is read the same, format 1 is taken over, newer formats are refused."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosmos.digest import Digest
from cosmos.errors import Malformed
from cosmos.model import installed_entry
from cosmos.model.constraint import Constraint
from cosmos.model.demand import Demand
from cosmos.model.facts import Facts
from cosmos.model.installed_entry import DEVICES, KINDS, LINKS, InstalledEntry
from cosmos.model.names import Arch, StarName
from cosmos.model.read_later import ReadLater
from cosmos.model.star import Origin
from cosmos.model.universe import FORMAT_NAME, About, Installed, Published, Universe, format_read_by
from cosmos.model.version import Version
from cosmos.plain_toml import plain_document
from cosmos.treepath import TreePath

ONE = Digest.of(b"one")
SYSTEM = '[system]\narch = "any"\nversion = "1"\n'
NAMES = st.sampled_from(["a", "b-c", "d+e.f", "user", "image", "1.2"]).map(StarName)
COMPONENTS = st.binary(min_size=1, max_size=8).filter(lambda raw: raw not in (b".", b"..") and not {0, 0x2F} & {*raw})
PATHS = st.lists(COMPONENTS, min_size=1, max_size=3).map(lambda parts: TreePath.parse(b"/".join(parts)))
SOME_PATHS = st.lists(PATHS, max_size=4, unique=True)
COUNTS = st.none() | st.integers(0, (1 << 63) - 1)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=8)


@st.composite
def entries(draw: st.DrawFn) -> InstalledEntry:
    kind = draw(st.sampled_from(KINDS))
    is_file, is_link = kind == "file", kind in LINKS
    target = draw(st.none() | st.binary(max_size=9).filter(lambda raw: b"\0" not in raw)) if is_link else None
    digest = draw(st.none() | st.just(ONE)) if is_file or is_link else None
    return InstalledEntry(
        path=draw(PATHS),
        kind=kind,
        mode=draw(st.integers(0, 0o7777)),
        uid=draw(st.integers(0, (1 << 32) - 1)),
        gid=0,
        digest=digest if target is None else Digest.of(target),
        rdev=draw(st.none() | st.just((1, 3))) if kind in DEVICES else None,
        xattrs=tuple(sorted(draw(st.dictionaries(st.binary(min_size=1, max_size=5), st.binary(max_size=3))).items())),
        size_bytes=draw(COUNTS) if is_file else draw(st.sampled_from([None, 0])),
        mtime=draw(COUNTS),
        target=target,
        is_configuration=is_file and draw(st.booleans()),
        is_shared=kind == "dir" and draw(st.booleans()),
    )


ORIGINS = st.builds(Origin, ecosystem=TEXTS, name=TEXTS, version=TEXTS, digest=st.just(ONE))
FACTS = st.builds(
    Facts,
    needs=st.just(((Demand(StarName("a"), Constraint.parse("^1")), Demand(StarName("b"))),)),
    provides=st.just({StarName("virt"): (None, Version.parse("1.0-1", "debian"))}),
)
ABOUTS = st.builds(
    About,
    size_bytes=st.integers(0, 1 << 30),
    script=st.none() | st.just(ONE),
    license=TEXTS,
    origins=st.lists(ORIGINS, max_size=2).map(tuple),
    facts=FACTS,
)
PUBLISHED = st.builds(Published, url=TEXTS, statement=st.just(ONE), signers=st.lists(TEXTS, max_size=2).map(tuple))
STARS = st.builds(
    Installed,
    version=st.just(Version.parse("1.0.0")),
    files=SOME_PATHS.map(tuple),
    galaxy=st.just("core"),
    archive=st.just(ONE),
    dependencies=st.lists(NAMES, max_size=2).map(tuple),
    asked_by=st.lists(st.sampled_from(["user", "image", "constellation:x"]), max_size=2).map(tuple),
    needed_by=st.lists(NAMES, max_size=2).map(tuple),
    about=st.none() | ABOUTS,
    published=st.none() | PUBLISHED,
    entries=st.lists(entries(), max_size=4).map(tuple),
)
UNIVERSES = st.builds(
    Universe,
    arch=st.just(Arch("x86_64")),
    version=TEXTS,
    image=TEXTS,
    content_root=st.none() | st.just(ONE),
    installed=st.dictionaries(NAMES, STARS, max_size=3),
    layers=st.dictionaries(st.sampled_from(["template", "finish"]), st.lists(entries(), max_size=3).map(tuple)),
)


@given(UNIVERSES)
def test_a_universe_is_read_as_it_was_written(universe: Universe) -> None:
    data = universe.rendered()
    assert data.startswith(b"universe-version = 2\n")
    read = Universe.parse(data, "u")
    assert read == universe
    assert read.rendered() == data


@given(entries())
def test_an_entry_has_one_line(entry: InstalledEntry) -> None:
    assert InstalledEntry.parse(entry.line) == entry
    assert entry.line.isprintable() or not entry.line.isascii()
    assert "\n" not in entry.line
    for place in range(0, len(entry.line) + 1, 3):
        for more in (" ", "0"):
            other = f"{entry.line[:place]}{more}{entry.line[place:]}"
            try:
                assert InstalledEntry.parse(other) != entry, other
            except ValueError:
                continue


@given(UNIVERSES)
def test_a_universe_that_is_read_later_says_the_same_as_one_that_is_read_at_once(universe: Universe) -> None:
    later = Universe.parse(universe.rendered(), "u")
    for name, star in universe.installed.items():
        assert isinstance(later.installed[name].entries, ReadLater)
        assert tuple(later.installed[name].entries) == star.entries
        assert tuple(later.installed[name].files) == star.files
        at_once = replace(later.installed[name], entries=star.entries, files=star.files)
        assert at_once == later.installed[name]
        assert at_once.to_toml() == later.installed[name].to_toml()


def whole(**changed: str) -> str:
    """A good line, with some fields changed."""
    fields = {
        "kind": "file",
        "mode": "0644",
        "uid": "0",
        "gid": "0",
        "size": "1",
        "mtime": "5",
        "digest": str(ONE),
        "rdev": "-",
        "xattrs": "-",
        "flags": "-",
        "path": "usr/f",
        "target": "-",
    }
    return " ".join({**fields, **changed}.values())


HOSTILE = {
    "": "want the 12 fields kind mode uid gid size mtime digest rdev xattrs flags path target, got 1",
    whole() + " x": "want the 12 fields kind mode uid gid size mtime digest rdev xattrs flags path target, got 13",
    whole(kind="socket"): "kind: want one of file, dir, symlink, hardlink, char, block, fifo, got 'socket'",
    whole(mode="644"): "mode: want four octal digits, got '644'",
    whole(mode="0888"): "mode: want four octal digits, got '0888'",
    whole(uid="-1"): "uid: want a number from 0 to 4294967295, got -1",
    whole(gid="4294967296"): "gid: want a number from 0 to 4294967295, got 4294967296",
    whole(gid="x"): "gid: invalid literal for int() with base 10: 'x'",
    whole(size="9" * 30): f"size: want a number from 0 to {(1 << 63) - 1}, got {'9' * 24}",
    whole(size="01"): "is not written as cosmos writes it",
    whole(size="1_0"): "is not written as cosmos writes it",
    whole(mtime="+5"): "is not written as cosmos writes it",
    whole(digest="sha256:x"): "digest: want sha256: and 64 lower-case hex digits, got 'sha256:x'",
    whole(rdev="1:3"): "rdev: want - for a file",
    whole(xattrs="b=00,a=00"): "xattrs: want them sorted, each name once",
    whole(xattrs="a=00,a=00"): "xattrs: want them sorted, each name once",
    whole(xattrs="a=0"): "xattrs: non-hexadecimal number found in fromhex() arg at position 1",
    whole(flags="cs"): "flags: want one of -, c, s, got 'cs'",
    whole(flags="s"): "flags: want no s for a file",
    whole(path="/usr/f"): "path: '/usr/f': starts with a slash",
    whole(path="usr/../f"): "path: 'usr/../f': has the component '..'",
    whole(path="usr/\\x41"): "path: 'usr/\\\\x41': not the text form of any path (write a backslash as \\x5c)",
    whole(target=">x"): "target: want - for a file",
    whole(target="x"): "target: want - or > and the target, got 'x'",
    whole(kind="dir"): "size: want 0 for a dir",
    whole(kind="dir", size="0"): "digest: want - for a dir",
    whole(kind="dir", size="0", digest="-", flags="c"): "flags: want no c for a dir",
    whole(kind="symlink", size="0", target=">x"): "is not written as cosmos writes it",
}


@pytest.mark.parametrize("line", HOSTILE)
@pytest.mark.parametrize("place", ["installed.zlib", "layer.finish"])
def test_a_hostile_line_is_refused_with_its_star_its_place_and_its_field(line: str, place: str) -> None:
    good = InstalledEntry.parse(whole())
    star = Installed(version=Version.parse("1.0.0"), files=(), entries=(good, good))
    universe = Universe(
        arch=Arch("x86_64"), version="1", installed={StarName("zlib"): star}, layers={"finish": (good, good)}
    )
    lines = ReadLater([whole(), line], InstalledEntry.parse)
    hostile = {"zlib": replace(star, entries=lines)} if place == "installed.zlib" else {"zlib": star}
    layers = universe.layers if place == "installed.zlib" else {"finish": lines}
    data = replace(universe, installed={StarName(k): v for k, v in hostile.items()}, layers=layers).rendered()
    read = Universe.parse(data, "u.toml")
    found = read.installed[StarName("zlib")].entries if place == "installed.zlib" else read.layers["finish"]
    said = f"^u.toml: {re.escape(f'{place}.entries[1]: {HOSTILE[line]}')}"
    with pytest.raises(Malformed, match=said):
        tuple(found)
    with pytest.raises(Malformed, match=said):
        _ = found[1]
    assert found[0] == good


@pytest.mark.parametrize("text", ["usr/f", "/", "/a//b", "/a/../b", "/\\x41"])
def test_a_hostile_file_is_refused_with_its_star_and_its_place(text: str) -> None:
    row = text.replace("\\", "\\\\")
    data = f'universe-version = 2\n{SYSTEM}[installed.a]\nversion = "1.0.0"\nfiles = ["{row}"]\n'
    with pytest.raises(Malformed, match=r"^u: installed\.a\.files\[0\]: "):
        tuple(Universe.parse(data.encode(), "u").installed[StarName("a")].files)


def test_a_newer_format_is_refused_with_the_way_out() -> None:
    text = f'universe-version = 3\n{SYSTEM}new = 1\n[installed.cosmos]\nversion = "9.1.0"\nnew = {{}}\n'
    with pytest.raises(Malformed, match=r"^u: universe-version: want at most 2, got 3: a newer cosmos wrote") as caught:
        Universe.parse(text.encode(), "u")
    assert caught.value.hint == "use the cosmos that is installed on this system, 9.1.0, or a newer one"
    with pytest.raises(Malformed) as caught:
        Universe.parse(f"universe-version = 3\n{SYSTEM}".encode(), "u")
    assert caught.value.hint == "use the cosmos that wrote it, or a newer one"


@pytest.mark.parametrize("number", ["0", "1", "-1", '"2"', "2.0", "true"])
def test_a_number_that_nobody_writes_is_refused(number: str) -> None:
    with pytest.raises(Malformed, match=r"^u: universe-version: want "):
        Universe.parse(f"universe-version = {number}\n{SYSTEM}".encode(), "u")


@pytest.mark.parametrize(
    ("form", "rows"),
    [
        ("", 'entries = ["x"]'),
        ("", 'asked-by = ["user"]'),
        ("", "size-bytes = 1"),
        ("universe-version = 2\n", 'wanted-by = ["user"]'),
        ("universe-version = 2\n", "entry = []"),
    ],
)
def test_the_keys_of_one_format_are_unknown_in_the_other(form: str, rows: str) -> None:
    text = f'{form}{SYSTEM}[installed.a]\nversion = "1.0.0"\nfiles = []\n{rows}\n'
    with pytest.raises(Malformed, match=r"^u: installed\.a\.[a-z-]+: unknown key"):
        Universe.parse(text.encode(), "u")


@pytest.mark.parametrize("key", ["script", "needs", "signers"])
def test_facts_of_a_statement_are_there_together_or_not_at_all(key: str) -> None:
    facts = About(size_bytes=1, script=ONE, license="MIT", origins=(), facts=Facts())
    known = Published(url="u", statement=ONE, signers=("s",))
    star = Installed(version=Version.parse("1.0.0"), files=(), about=facts, published=known)
    text = Universe(arch=Arch("any"), version="1", installed={StarName("a"): star}).rendered().decode()
    short = re.sub(rf"^{key} = (\[[^]]*\]|.*)\n", "", text, flags=re.MULTILINE)
    assert short != text
    with pytest.raises(Malformed, match=rf"^u: installed\.a\.{key}: missing"):
        Universe.parse(short.encode(), "u")


# --- format 1: the file is one that Cosmos 0.1 wrote


@pytest.fixture
def first(repo: Path) -> bytes:
    return (repo / "tests/fakes/universe-0.1.toml").read_bytes()


def test_the_universe_of_version_0_1_is_taken_over(first: bytes) -> None:
    universe = Universe.parse(first, "u")
    again = Universe.parse(universe.rendered(), "u")
    assert again == universe
    assert again.rendered() == universe.rendered()
    assert (again.image, again.version, again.content_root) == ("rescue", "1.0.0", Digest.of(b"root"))
    assert {name: str(star.version) for name, star in again.installed.items()} == {
        "nano": "6.2.0",
        "old": "0.9.0",
        "user": "1.0.0",
        "zlib": "1:1.2.13.dfsg-1",
    }
    assert again.installed[StarName("user")].type == "nebula"
    assert again.installed[StarName("zlib")].version.scheme == "debian"


def test_who_asked_for_a_star_and_which_stars_need_it_are_parted(first: bytes) -> None:
    universe = Universe.parse(first, "u")
    nano = universe.installed[StarName("nano")]
    assert nano.asked_by == ("user", "constellation:tools")
    assert nano.needed_by == ("user",), "the star of that name"
    assert nano.wanted_by == ("user", "constellation:tools", "star:user")
    assert universe.installed[StarName("zlib")].needed_by == ("nano",)
    assert universe.installed[StarName("user")].asked_by == ("image",)


def test_what_format_1_does_not_say_stays_unknown(first: bytes) -> None:
    universe = Universe.parse(Universe.parse(first, "u").rendered(), "u")
    nano = universe.installed[StarName("nano")]
    assert (nano.about, nano.published, dict(universe.layers)) == (None, None, {})
    assert [entry.line for entry in nano.entries] == [
        "dir 0755 0 0 0 - - - - - etc -",
        f"file 0644 0 0 - - {Digest.of(b'set tabs')} - - c etc/nanorc -",
        f"file 0755 0 0 - - {Digest.of(b'nano')} - security.capability=0100 - usr/bin/nano -",
        f"hardlink 0755 0 0 0 - {Digest.of(b'usr/bin/nano')} - - - usr/bin/pico -",
        f"symlink 0777 0 0 0 - {Digest.of(b'nano')} - - - usr/bin/rnano -",
        f"file 0600 7 0 - - {Digest.of(b'')} - - - usr/share/caf\\xe9\\x20x\\x5cy -",
        "char 0666 0 0 0 - - 1:5 - - dev/zero -",
        "fifo 0600 0 0 0 - - - - - run/fifo -",
    ]
    assert all(entry.target is None and entry.mtime is None for entry in nano.entries)


def test_folders_are_no_files_any_more(first: bytes) -> None:
    nano = Universe.parse(first, "u").installed[StarName("nano")]
    assert TreePath(b"etc") not in nano.files
    assert [path for path in nano.files if path == b"etc/nanorc"] == [TreePath(b"etc/nanorc")]
    assert len(nano.files) == len(nano.entries) - 1


def test_a_star_of_upstream_s_keeps_its_list_of_files(first: bytes) -> None:
    old = Universe.parse(Universe.parse(first, "u").rendered(), "u").installed[StarName("old")]
    assert (tuple(old.files), tuple(old.entries), old.galaxy) == ((TreePath(b"opt/old"),), (), None)


# --- cheap


def test_a_path_with_a_backslash_does_not_make_a_large_universe_slow(first: bytes) -> None:
    """The reader of plain TOML reads it: tomllib takes fifteen times as long for 50,000 files."""
    data = Universe.parse(first, "u").rendered()
    assert b"\\\\x5c" in data
    assert plain_document(data.decode()) is not None


def test_what_nobody_asked_for_is_written_as_it_was_read() -> None:
    star = Installed(version=Version.parse("1.0.0"), files=(), entries=ReadLater(["garbage"], InstalledEntry.parse))
    universe = Universe(arch=Arch("any"), version="1", installed={StarName("a"): star})
    assert Universe.parse(universe.rendered(), "u").rendered() == universe.rendered()


# --- which cosmos may come to a system


@pytest.mark.parametrize(
    ("provided", "reads"),
    [((), 1), (("2.0.0",), 2), (("2.7.1",), 2), (("1.0.0", "3.0.0"), 3)],
)
def test_a_star_says_how_far_it_reads(provided: tuple[str, ...], reads: int) -> None:
    assert format_read_by(Facts(provides={FORMAT_NAME: tuple(map(Version.parse, provided))})) == reads


def test_a_name_without_a_version_says_nothing_of_formats() -> None:
    assert format_read_by(Facts(provides={FORMAT_NAME: (None, Version.parse("2", "debian"))})) == 1


def test_this_program_s_star_reads_what_this_program_writes(repo: Path) -> None:
    from cosmos.model.star import Recipe
    from cosmos.model.universe import UNIVERSE_VERSION
    from cosmos.stellar.ecosystems import RULES

    recipe = Recipe.parse((repo / "stars/cosmos/star.toml").read_bytes(), "star.toml", RULES)
    assert recipe.provides[FORMAT_NAME] == (Version.parse(f"{UNIVERSE_VERSION}.0.0"),)


NUMBERS = [
    "0",
    "00",
    "01",
    "-",
    "-1",
    "7",
    "999999999",
    "4294967295",
    "4294967296",
    str(1 << 63),
    "+1",
    "\N{ARABIC-INDIC DIGIT ONE}",
]
LINE_FIELDS: dict[int, list[str]] = {
    0: ["file", "dir", "symlink", "hardlink", "fifo", "files", ""],
    1: ["0755", "755", "4755", "0888", "00755"],
    2: NUMBERS,
    4: NUMBERS,
    5: NUMBERS,
    6: [f"sha256:{'a' * 64}", f"sha256:{'A' * 64}", "sha256:00", "-"],
    7: ["-", "1:3"],
    8: ["-", "user.x=00"],
    9: ["-", "c", "s", "cs"],
    10: ["etc/a", "/etc/a", "etc//a", "etc/../a", "a\\x20b", "a\\x41", "café", "-", "a\n", "."],
    11: ["-", ">a"],
}


@pytest.mark.parametrize("kind", ["file", "dir"])
def test_a_line_that_is_read_fast_has_the_meaning_that_it_has_when_read_field_by_field(
    monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    digest = f"sha256:{'b' * 64}" if kind == "file" else "-"
    size = "7" if kind == "file" else "0"
    good = [kind, "0644", "0", "5", size, "99", digest, "-", "-", "-", "etc/x", "-"]
    lines = [" ".join(good)]
    for (place, values), (other, others) in itertools.combinations(LINE_FIELDS.items(), 2):
        for value, another in itertools.product(values, others):
            changed = list(good)
            changed[place], changed[other] = value, another
            lines.append(" ".join(changed))
    fast = [_read_or_refused(line) for line in lines]
    monkeypatch.setattr(installed_entry, "_PLAIN", re.compile("(?!)"))
    slow = [_read_or_refused(line) for line in lines]
    assert fast == slow
    assert sum(isinstance(one, InstalledEntry) for one in slow) > 20


def _read_or_refused(line: str) -> InstalledEntry | str:
    try:
        return InstalledEntry.parse(line)
    except ValueError as error:
        return str(error)
