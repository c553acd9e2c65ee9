"""A lock's dependency tree: what `cosmos tree`, `cosmos why` and `cosmos report` say of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from cosmos.model.lock import LOCK_FILE, Lock
from cosmos.model.names import StarName
from cosmos.resolve.dependency_tree import dependency_tree, wants_of
from fakes.images import APP, BASE, META, ImageFixture


def test_a_lock_that_names_stars_which_it_lacks_or_a_circle_has_a_tree(
    tmp_path: Path, built_image: Callable[..., ImageFixture]
) -> None:
    folder = built_image(tmp_path, (BASE, APP, META)).folder
    lock = Lock.parse((folder / LOCK_FILE).read_bytes(), LOCK_FILE)
    first, *others = lock.stars
    bad = replace(lock, stars=(replace(first, dependencies=(others[-1].name, StarName("absent"))), *others))
    wants = wants_of(bad)
    assert StarName("absent") not in wants.above
    ((who, branches),) = dependency_tree(bad, wants)
    assert (who, [str(one.star.name) for one in branches]) == ("image", ["everything", "app", "base", "everything"])
    assert [one.is_repeated for one in branches] == [False, False, False, True]
