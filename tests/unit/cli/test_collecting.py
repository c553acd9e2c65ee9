"""Commands that hold the records of a whole image collect garbage seldom; all others, and workers, as usual."""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cosmos.limits import COLLECT_AFTER_OBJECTS, COLLECT_AFTER_OBJECTS_OF_AN_IMAGE
from fakes.images import APP, BASE, META, ImageFixture
from fakes.programs import Cosmos

WORKER = """
import gc, os
from cosmos.cli.collecting import collect_seldom
from cosmos.image.workshop import staging

collect_seldom()
staging._enter(None, os.getppid())
print(gc.get_threshold()[0])
"""


@pytest.fixture(autouse=True)
def kept() -> Iterator[None]:
    """Leave the test process as it was."""
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


def test_a_freeze_a_build_and_an_index_collect_seldom_and_a_verify_as_usual(
    tmp_path: Path, cosmos: Cosmos, stellar: Cosmos, built_image: Callable[..., ImageFixture]
) -> None:
    image = built_image(tmp_path, (BASE, APP, META))
    cosmos("verify", image.out, "--key", image.public_key).ok()
    assert gc.get_threshold()[0] == COLLECT_AFTER_OBJECTS
    for run, words in (
        (cosmos, ("freeze", image.folder, "--home", image.home, "--upgrade")),
        (cosmos, ("build", image.folder, "--home", image.home)),
        (stellar, ("index-galaxy", image.galaxy)),
    ):
        gc.set_threshold(1)
        run(*words)
        assert gc.get_threshold()[0] == COLLECT_AFTER_OBJECTS_OF_AN_IMAGE


def test_a_worker_of_a_build_collects_as_usual() -> None:
    said = subprocess.run([sys.executable, "-c", WORKER], check=True, capture_output=True, text=True).stdout
    assert int(said) == COLLECT_AFTER_OBJECTS
