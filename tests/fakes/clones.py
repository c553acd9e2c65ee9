"""A folder with a builder's home and its galaxy, as `make image` leaves them: small stars with real names."""

from __future__ import annotations

from pathlib import Path

from fakes.galaxies import StarSpec, make_galaxy, make_home, make_signers

KERNEL = StarSpec("linux-cloud", "6.1.0", {"boot/vmlinuz-6.1.0": b"kernel"})
STARS = (
    KERNEL,
    StarSpec("linux-modules", "6.1.0", {"usr/lib/modules/6.1.0/x": b"module"}, {"linux-cloud": "*"}),
    StarSpec("busybox", "1.35.0", {"usr/bin/busybox": b"busybox"}),
    StarSpec("dropbear", "2022.83.0", {"usr/sbin/dropbear": b"dropbear"}),
)


def make_clone(folder: Path) -> Path:
    """Make a home and its galaxy below `folder`, and return the folder."""
    signers = make_signers()
    home = make_home(folder / ".cosmos", signers)
    make_galaxy(home / "galaxy", "core", STARS, signers)
    return folder
