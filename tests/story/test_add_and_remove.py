"""`cosmos add` and `cosmos remove`: the wishes of an image.toml change, nothing else of it, and the lock follows."""

from __future__ import annotations

import difflib
import stat
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from cosmos.errors import WorldFailed
from cosmos.image.home import Home
from fakes.galaxies import StarSpec, make_galaxy, make_home, make_signers
from fakes.images import write_template
from fakes.programs import Cosmos

STARS = (
    StarSpec("zlib", "1.3.1", {"usr/lib/libz.so.1": b"zlib"}),
    StarSpec("zlib", "2.0.0", {"usr/lib/libz.so.2": b"zlib"}),
    StarSpec("nano", "7.2.0", {"usr/bin/nano": b"nano"}, {"zlib": "^1"}),
    StarSpec("less", "590.0.0", {"usr/bin/less": b"less"}),
    StarSpec("libstdc++", "12.2.0", {"usr/lib/libstdc++.so": b"c"}),
)
HEAD = """# A system of mine.
name = "mine"   # three blanks before this
version = "1.0.0"
arch = "x86_64"
template = "./template"
source-date-epoch = 1767225600

"""
TAIL = """
# where the stars come from
[galaxies]
core = "../core"
"""
WISHES = """[stars]   # what it is made of
less = "*"  # to read with
# for editing:
  nano = '^7'
"""


class Site:
    """An image with a galaxy and a home."""

    def __init__(self, folder: Path, cosmos: Cosmos) -> None:
        signers = make_signers()
        make_galaxy(folder / "core", "core", STARS, signers)
        self.home = make_home(folder / "home", signers)
        self.image = folder / "image"
        self.file, self.lock = self.image / "image.toml", self.image / "universe.lock.toml"
        write_template(self.image / "template")
        self._cosmos = cosmos
        self.write(HEAD + WISHES + TAIL)

    def write(self, text: str) -> None:
        self.file.write_bytes(text.encode())

    def text(self) -> str:
        return self.file.read_bytes().decode()

    def stars(self) -> dict[str, str]:
        return tomllib.loads(self.text())["stars"]

    def locked(self) -> list[str]:
        return sorted(f"{row['name']} {row['version']}" for row in tomllib.loads(self.lock.read_text())["star"])

    def __call__(self, command: str, *words: object):
        return self._cosmos(command, self.image, *words, "--home", self.home)

    def changes(self, do: Callable[[], object]) -> list[str]:
        """Return the lines that `do` adds to image.toml and removes from it."""
        before = self.text().splitlines(keepends=True)
        do()
        after = self.text().splitlines(keepends=True)
        return [line for line in difflib.ndiff(before, after) if line[0] in "+-"]


@pytest.fixture
def site(tmp_path: Path, cosmos: Cosmos) -> Site:
    return Site(tmp_path, cosmos)


def test_add_writes_one_line_below_the_last_wish_and_freezes(site: Site) -> None:
    assert site.changes(lambda: site("add", "zlib@^1.3").ok()) == ['+   zlib = "^1.3"\n']
    assert site.text().index("zlib") < site.text().index("# where the stars come from")
    assert site.locked() == ["less 590.0.0", "nano 7.2.0", "zlib 1.3.1"]


def test_add_says_what_it_wrote_and_what_moved(site: Site) -> None:
    site("remove", "nano").ok()
    said = site("add", "nano@~7.2").ok().out.splitlines()
    assert said == [
        f'{site.file}: nano = "~7.2"',
        f"{site.lock}: written, 3 stars",
        "  + nano 7.2.0",
        "  + zlib 1.3.1",
        f"next: cosmos build {site.image}",
    ]
    row = site("add", "libstdc++", "--json").json()
    assert (row["wishes"], row["moves"]) == ({"libstdc++": "*"}, {"libstdc++": [None, "12.2.0"]})
    assert (row["stars"], row["changed"]) == (4, True)


def test_several_stars_are_added_in_one_freeze_and_a_name_with_a_plus_is_quoted(site: Site) -> None:
    changed = site.changes(lambda: site("add", "libstdc++", "zlib").ok())
    assert changed == ['+   "libstdc++" = "*"\n', '+   zlib = "*"\n']
    assert site.stars()["libstdc++"] == "*"


def test_add_with_a_range_changes_a_wish_and_keeps_its_comment(site: Site) -> None:
    assert site.changes(lambda: site("add", "less@^590").ok()) == [
        '- less = "*"  # to read with\n',
        '+ less = "^590"  # to read with\n',
    ]
    assert site.changes(lambda: site("add", "nano@>=7, <9").ok()) == ["-   nano = '^7'\n", '+   nano = ">=7, <9"\n']


def test_add_without_a_range_keeps_the_constraint_that_is_there(site: Site) -> None:
    outcome = site("add", "nano").ok()
    assert f'{site.file}: has nano = "^7" already' in outcome.err
    assert site.stars()["nano"] == "^7"
    assert site.lock.is_file(), "the freeze is made all the same"


def test_remove_takes_the_line_and_leaves_its_neighbours(site: Site) -> None:
    site("add", "zlib").ok()
    assert site.changes(lambda: site("remove", "less").ok()) == ['- less = "*"  # to read with\n']
    assert site.locked() == ["nano 7.2.0", "zlib 1.3.1"]


def test_remove_says_who_still_needs_the_star(site: Site) -> None:
    site("add", "zlib").ok()
    assert "  zlib stays in the lock: nano wants it" in site("remove", "zlib").ok().out


def test_add_and_remove_again_give_the_same_bytes(site: Site) -> None:
    site("add", "less").ok()
    before = site.text(), site.lock.read_bytes()
    site("add", "zlib@^1", "libstdc++").ok()
    site("remove", "zlib", "libstdc++").ok()
    assert (site.text(), site.lock.read_bytes()) == before


@pytest.mark.parametrize(
    ("text", "added"),
    [
        (HEAD + "[stars]  # name = constraint" + TAIL, '[stars]  # name = constraint\nzlib = "*"\n# where'),
        (HEAD + TAIL.lstrip("\n"), '[stars]\nzlib = "*"\n\n# where'),
        (HEAD + TAIL + '[ "stars" ]\nless = "*"', 'less = "*"\nzlib = "*"'),
        ((HEAD + WISHES + TAIL).replace("\n", "\r\n"), "  nano = '^7'\r\n  zlib = \"*\"\r\n\r\n# where"),
        (HEAD + '[stars]\n"less"="*"\n[galaxies]\ncore="../core"\n', '"less"="*"\nzlib = "*"\n[galaxies]'),
    ],
    ids=["empty", "none", "last", "of-windows", "tight"],
)
def test_add_fits_into_every_layout_of_the_table(site: Site, text: str, added: str) -> None:
    site.write(text)
    site("add", "zlib").ok()
    assert added in site.text()
    site("remove", "zlib").ok()
    assert tomllib.loads(site.text()).get("stars", {}) == tomllib.loads(text).get("stars", {})


@pytest.mark.parametrize(
    "text",
    [
        'stars = { less = "*" }\n' + HEAD + TAIL,
        'stars.less = "*"\n' + HEAD + TAIL,
        HEAD + '[stars]\nless = """*"""\n' + TAIL,
        HEAD.replace("# A system", 'description = """\n[stars]\nless = "*"\n"""\n# A system') + TAIL,
        HEAD + '[stars]\nless = "*"\n' + TAIL + '[vars]\na = """\n[stars]\n"""\n',
    ],
    ids=["inline", "dotted", "long-value", "in-a-string", "two"],
)
def test_another_form_is_refused_with_the_line_to_write_or_edited_rightly(site: Site, text: str) -> None:
    site.write(text)
    for words in (("add", "less@^590"), ("add", "zlib@^1"), ("remove", "less")):
        site.write(text)
        outcome = site(*words)
        if outcome.code:
            assert outcome.code in (2, 3) and "hint: " in outcome.err, outcome.err
            assert site.text() == text and not site.lock.exists()
        else:
            stars = {**tomllib.loads(text).get("stars", {}), "less": "^590"} if words[1] == "less@^590" else None
            assert stars is None or site.stars() == stars
            site.lock.unlink()


def test_a_table_of_another_form_has_the_line_to_write_in_the_hint(site: Site) -> None:
    site.write('stars = { less = "*" }\n' + HEAD + TAIL)
    said = site("add", "libstdc++@^12").fails(2).err
    assert "[stars] has a form that is not edited here" in said
    assert f'hint: write below [stars] in it: "libstdc++" = "^12"; then: cosmos freeze {site.image}' in said


@pytest.mark.parametrize(
    ("words", "code", "hint"),
    [
        (("add", "nanno"), 3, "did you mean nano?"),
        (("add", "zlib@^9"), 3, "loosen a constraint"),
        (("add", "zlib@^2"), 3, "loosen a constraint"),
        (("add", "zlib@what"), 2, "--help"),
        (("add", "zlib", "zlib@^1"), 2, "name it once"),
        (("remove", "lees"), 3, "did you mean less?"),
        (("remove", "zlib"), 3, "cosmos why"),
        (("remove", "../etc"), 2, "--help"),
    ],
)
def test_what_fails_writes_neither_file_and_names_a_way_out(
    site: Site, words: tuple[str, ...], code: int, hint: str
) -> None:
    site("add", "less").ok()
    before = site.text(), site.lock.read_bytes()
    assert hint in site(*words).fails(code).err
    assert (site.text(), site.lock.read_bytes()) == before


def test_a_lock_that_cannot_be_written_leaves_image_toml(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site("add", "less").ok()
    before = site.text()

    def full(*_: object) -> bool:
        raise WorldFailed("universe.lock.toml", "no space left on device")

    monkeypatch.setattr(Home, "write_lock", full)
    site("add", "zlib").fails(5)
    assert site.text() == before


def test_what_somebody_wrote_meanwhile_is_not_overwritten(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    remember = Home.remember

    def slowly(self: Home, change: object) -> None:
        site.write(HEAD + WISHES + TAIL + "# saved in an editor\n")
        remember(self, change)

    monkeypatch.setattr(Home, "remember", slowly)
    assert "was changed meanwhile" in site("add", "zlib").fails(4).err
    assert site.text().endswith("# saved in an editor\n")


def test_the_file_that_was_named_is_edited_and_not_image_toml_beside_it(site: Site, cosmos: Cosmos) -> None:
    other, before = site.image / "other.toml", site.text()
    for text in (before, before.replace('"mine"', '"other"')):
        other.write_text(text)
        cosmos("add", other, "zlib@^1", "--home", site.home).ok()
        assert tomllib.loads(other.read_text())["stars"]["zlib"] == "^1"
        assert site.text() == before


def test_a_file_with_a_byte_order_mark_is_named_with_the_way_out(site: Site) -> None:
    site.file.write_bytes(b"\xef\xbb\xbf" + site.file.read_bytes())
    failed = site("add", "zlib").fails(2)
    assert "image.toml: begins with a byte order mark" in failed.err
    assert "save it as UTF-8 without a BOM" in failed.err


def test_a_link_stays_a_link_and_the_mode_stays(site: Site, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.toml"
    site.file.rename(elsewhere)
    elsewhere.chmod(0o640)
    site.file.symlink_to(elsewhere)
    site("add", "zlib").ok()
    assert site.file.is_symlink() and "zlib" in elsewhere.read_text()
    assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o640


def test_a_star_of_a_constellation_is_taken_out_in_its_file(site: Site) -> None:
    (site.image / "tools.toml").write_text('name = "tools"\nmembers = ["zlib"]\n')
    site.write(HEAD.replace("arch", 'constellations = ["tools.toml"]\narch') + WISHES + TAIL)
    assert f"take it out of {site.image}/tools.toml" in site("remove", "zlib").fails(3).err
