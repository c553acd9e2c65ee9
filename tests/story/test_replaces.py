"""A file that moved from one package to another has the owner that the packages say: `replaces`."""

from __future__ import annotations

import tomllib
from pathlib import Path

from fakes.galaxies import StarSpec
from fakes.images import ImageFixture, make_image
from fakes.programs import Cosmos

OLD = StarSpec("old", "1.2-3", {"usr/bin/moved": b"of old", "usr/bin/stays": b"of old"}, scheme="debian")
NEW = StarSpec("new", "2.0-1", {"usr/bin/moved": b"of new"}, scheme="debian", replaces={"old": "<<1.2-4"})


def built(image: ImageFixture, cosmos: Cosmos) -> int:
    cosmos("freeze", image.folder, "--home", image.home).ok()
    return cosmos("build", image.folder, "--home", image.home, "--key", image.secret_key).code


def test_the_star_that_replaces_another_owns_the_file_that_both_bring(cosmos: Cosmos, tmp_path: Path) -> None:
    for place, stars in (("one", (OLD, NEW)), ("two", (NEW, OLD))):
        image = make_image(tmp_path / place, stars, {"old": "*", "new": "*"})
        assert built(image, cosmos) == 0
        assert cosmos("cat", image.out, "usr/bin/moved").ok().out == "of new"
        universe = tomllib.loads(cosmos("cat", image.out, "var/lib/cosmos/universe.toml").ok().out)
        assert {name: star["files"] for name, star in universe["installed"].items()} == {
            "old": ["/usr/bin/stays"],
            "new": ["/usr/bin/moved"],
        }


def test_a_version_that_is_not_meant_keeps_its_file_so_that_the_two_are_refused(cosmos: Cosmos, tmp_path: Path) -> None:
    later = StarSpec("old", "1.2-4", OLD.files, scheme="debian")
    image = make_image(tmp_path, (later, NEW), {"old": "*", "new": "*"})
    cosmos("freeze", image.folder, "--home", image.home).ok()
    refused = cosmos("build", image.folder, "--home", image.home, "--key", image.secret_key)
    assert (refused.code, "both new (file) and old (file) bring it" in refused.err) == (3, True)
