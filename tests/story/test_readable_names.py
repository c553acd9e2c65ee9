"""What a build makes can be read back and verified: no script and no two stars make names that no reader takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath
from fakes.galaxies import StarSpec
from fakes.images import make_image
from fakes.programs import Cosmos

COMPOSED, DECOMPOSED = "usr/caf\u00e9", "usr/cafe\u0301"


def test_a_script_whose_names_fall_together_in_unicode_is_refused(tmp_path: Path, cosmos: Cosmos) -> None:
    script = f'function install() write("/{COMPOSED}", "") write("/{DECOMPOSED}", "") end'
    image = make_image(tmp_path, (StarSpec("odd", script=script),))
    cosmos("freeze", image.folder, "--home", image.home).ok()
    refused = cosmos("build", image.folder, "--home", image.home).fails(6)
    assert "odd: its script makes what no image may hold" in refused.err
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
    image = make_image(
        tmp_path, (StarSpec("odd", files={"usr/a": b"y", name: odd} if name != "usr/A" else {name: odd}),)
    )
    cosmos("freeze", image.folder, "--home", image.home).ok()
    cosmos("build", image.folder, "--home", image.home, "--key", image.secret_key).ok()
    cosmos("verify", image.out, "--key", image.public_key).ok()
