"""What a build makes can be read back and verified: no script and no two stars make names that no reader takes, or that
some file system takes for one.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from cosmos.errors import WorldFailed
from cosmos.image.keep_root import write_root
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath
from fakes.galaxies import StarSpec
from fakes.images import make_image
from fakes.programs import Cosmos
from fakes.reporters import Remembering

COMPOSED, DECOMPOSED = "usr/caf\u00e9", "usr/cafe\u0301"


def test_a_script_whose_names_fall_together_in_unicode_is_refused(tmp_path: Path, cosmos: Cosmos) -> None:
    script = f'function install() write("/{COMPOSED}", "") write("/{DECOMPOSED}", "") end'
    image = make_image(tmp_path, (StarSpec("odd", script=script),))
    cosmos("freeze", image.folder, "--home", image.home).ok()
    refused = cosmos("build", image.folder, "--home", image.home).fails(6)
    assert "odd: its script makes an entry that no image may hold" in refused.err
    assert "differs from" in refused.err
    assert not image.out.exists()


def test_two_stars_whose_names_fall_together_in_unicode_are_refused(tmp_path: Path, cosmos: Cosmos) -> None:
    stars = (
        StarSpec("one", files={COMPOSED: b"1"}),
        StarSpec("two", files={DECOMPOSED: b"2"}, dependencies={"one": "*"}),
    )
    image = make_image(tmp_path, stars)
    cosmos("freeze", image.folder, "--home", image.home).ok()
    refused = cosmos("build", image.folder, "--home", image.home).fails(3)
    assert "two and one bring names that differ only by Unicode form" in refused.err
    assert not image.out.exists()


@pytest.mark.parametrize("name", ["usr/a\nb", "usr/\u200bzero", "usr/a\\b", "usr/sp ace", "usr/A"])
def test_odd_names_that_can_be_read_are_built_and_verified(tmp_path: Path, cosmos: Cosmos, name: str) -> None:
    odd = Entry(path=TreePath.parse(name), kind="file", mode=0o644, content=b"x")
    image = make_image(tmp_path, (StarSpec("odd", files={"usr/a": b"y", name: odd}),))
    cosmos("freeze", image.folder, "--home", image.home).ok()
    cosmos("build", image.folder, "--home", image.home, "--key", image.secret_key).ok()
    cosmos("verify", image.out, "--key", image.public_key).ok()


def test_one_star_s_names_that_differ_by_case_alone_are_built_verified_and_read(tmp_path: Path, cosmos: Cosmos) -> None:
    image = make_image(tmp_path, (StarSpec("odd", files={"usr/Net/x": b"A", "usr/net/x": b"a", "usr/net/X": b"b"}),))
    cosmos("freeze", image.folder, "--home", image.home).ok()
    root = tmp_path / "root"
    cosmos("build", image.folder, "--home", image.home, "--key", image.secret_key, "--keep-root", root).ok()
    cosmos("verify", image.out, "--key", image.public_key).ok()
    for path, content in {"usr/Net/x": "A", "usr/net/x": "a", "usr/net/X": "b"}.items():
        assert cosmos("cat", image.out, path).ok().out == content
        assert (root / path).read_text() == content


def test_two_stars_whose_names_differ_by_case_alone_are_refused_unless_the_image_means_both(
    tmp_path: Path, cosmos: Cosmos
) -> None:
    stars = (
        StarSpec("coreutils", files={"usr/bin/head": b"1"}),
        StarSpec("lwp", files={"usr/bin/HEAD": b"2"}, dependencies={"coreutils": "*"}),
    )
    image = make_image(tmp_path, stars)
    cosmos("freeze", image.folder, "--home", image.home).ok()
    refused = cosmos("build", image.folder, "--home", image.home).fails(3)
    assert (
        "/usr/bin/HEAD: lwp brings it, and coreutils brings /usr/bin/head: the two differ by case alone" in refused.err
    )
    assert not image.out.exists()
    hint = refused.err.partition("[policy] ")[2].partition("\n")[0]
    definition = image.folder / "image.toml"
    definition.write_text(f"{definition.read_text()}\n[policy]\n{hint}\n")
    cosmos("build", image.folder, "--home", image.home).ok()
    assert cosmos("cat", image.out, "usr/bin/HEAD").ok().out == "2"


def test_names_that_one_file_system_takes_for_one_are_not_written_out_half(tmp_path: Path) -> None:
    """The same path twice is what a folder that knows no case makes of two names."""
    twice = [Entry(path=TreePath(b"readme"), kind="file", mode=0o644, content=text) for text in (b"1", b"2")]
    with pytest.raises(WorldFailed, match="readme: is there already: this file system does not distinguish"):
        write_root(twice, tmp_path / "root", Remembering())
    assert (tmp_path / "root/readme").read_bytes() == b"1"


def test_an_image_whose_folder_is_not_utf8_is_built_and_found_unchanged(tmp_path: Path, cosmos: Cosmos) -> None:
    (tmp_path / "im\udcff").mkdir()
    image = make_image(tmp_path / "im\udcff")
    cosmos("freeze", image.folder, "--home", image.home).ok()
    for _ in range(2):
        cosmos("build", image.folder, "--home", image.home, "--key", image.secret_key).ok()
    cosmos("verify", image.out, "--key", image.public_key).ok()


def test_a_stray_file_beside_the_anchors_whose_name_is_not_utf8_stops_no_build(tmp_path: Path, cosmos: Cosmos) -> None:
    image = make_image(tmp_path)
    (image.home / "trust/a\udcff").touch()
    cosmos("freeze", image.folder, "--home", image.home).ok()
    for _ in range(2):
        cosmos("build", image.folder, "--home", image.home).ok()
