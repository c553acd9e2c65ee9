"""Looking into an image: what is asked for is judged before the image is opened."""

from __future__ import annotations

from pathlib import Path

import pytest

from cosmos.errors import Malformed
from cosmos.release.inspect import listed


@pytest.mark.parametrize("glob", ["", "/", "usr/lib**", "../etc"])
def test_a_glob_that_means_nothing_is_the_operator_s_mistake_and_no_bug(tmp_path: Path, glob: str) -> None:
    with pytest.raises(Malformed, match=r"^GLOB: "):
        listed(tmp_path / "no-image", ["usr/bin/*", glob])
