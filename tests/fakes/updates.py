"""Two releases of one image, as an update has them: OLD and NEW, both built and signed."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fakes.galaxies import StarSpec, make_galaxy
from fakes.images import ImageFixture, make_image, write_image

OUTPUTS = """
[[output]]
format = "tar.zst"
[[output]]
format = "cpio.zst"
exclude = ["usr/share/**"]
[[output]]
format = "file"
path = "usr/bin/kernel"
as = "kernel"
"""


def noise(seed: int, size: int) -> bytes:
    """Return bytes that no compressor makes smaller, the same ones for each seed."""
    return random.Random(seed).randbytes(size)


def edited(data: bytes, every: int = 5000) -> bytes:
    """Return `data` with one byte changed in each so many."""
    changed = bytearray(data)
    changed[::every] = bytes(byte ^ 1 for byte in changed[::every])
    return bytes(changed)


LARGE, LIBRARY = noise(1, 60_000), noise(2, 30_000)
KERNEL = StarSpec("kernel", "6.1.0", {"usr/bin/kernel": noise(3, 4000), "usr/share/doc/kernel": b"words " * 500})
OLD_STARS = (
    KERNEL,
    StarSpec("tool", "1.0.0", {"usr/bin/tool": LARGE, "usr/bin/other": b"other"}),
    StarSpec("libx1", "1.0.0", {"usr/lib/libx.so.1": LIBRARY}),
    StarSpec("same", "1.0.0", {"usr/bin/same": noise(4, 2000)}),
    StarSpec("gone", "1.0.0", {"usr/bin/gone": noise(5, 2000)}),
)
NEW_STARS = (
    KERNEL,
    StarSpec("tool", "1.1.0", {"usr/bin/tool": edited(LARGE), "usr/bin/other": b"another"}),
    StarSpec("libx2", "2.0.0", {"usr/lib/libx.so.2": edited(LIBRARY)}),
    StarSpec("same", "1.0.0", {"usr/bin/same": noise(4, 2000)}),
    StarSpec("fresh", "1.0.0", {"usr/bin/fresh": noise(6, 3000)}),
)


@dataclass(frozen=True)
class Update:
    """An image with two releases of it."""

    image: ImageFixture
    old: Path
    new: Path

    @property
    def public_key(self) -> Path:
        """The public key of the releases' signer."""
        return self.image.public_key

    @property
    def secret_key(self) -> Path:
        """The key that signs releases and deltas."""
        return self.image.secret_key


def make_update(
    where: Path,
    run: Callable[..., object],
    old: Sequence[StarSpec] = OLD_STARS,
    new: Sequence[StarSpec] = NEW_STARS,
    tables: str = OUTPUTS,
) -> Update:
    """Build two releases of one image below `where`, with the counters 1 and 2; `run` runs `cosmos`."""
    image = make_image(where, old, {star.name: "*" for star in old}, more="counter = 1", tables=tables)
    for seq, stars, name in ((1, old, "old"), (2, new, "new")):
        make_galaxy(image.galaxy.path, "core", stars, image.signers, seq=seq)
        write_image(image, {star.name: "*" for star in stars}, more=f"counter = {seq}", tables=tables)
        (image.folder / "universe.lock.toml").unlink(missing_ok=True)
        run("freeze", image.folder, "--home", image.home)
        run("build", image.folder, "--home", image.home, "--key", image.secret_key, "--out", where / name)
    return Update(image, where / "old", where / "new")


def files_of(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Return the bytes and the mode of each file in a folder."""
    return {file.name: (file.read_bytes(), file.stat().st_mode) for file in sorted(folder.iterdir())}
