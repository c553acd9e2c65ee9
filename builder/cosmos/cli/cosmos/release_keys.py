"""Who must have signed a release that an update makes, and who judges it: as `cosmos verify` does."""

from __future__ import annotations

from pathlib import Path

from cosmos.cli.cosmos.world import world_at
from cosmos.cli.trust_words import shown_public_key
from cosmos.release.delta.applying import Judge, Signers
from cosmos.release.verdicts import judge_release
from cosmos.release.verify import ReleaseVerdict


def signers_and_judge(
    key_files: tuple[Path, ...], home: Path | None, near: Path, accept_revoked: tuple[str, ...], *, quiet: bool
) -> tuple[Signers, Judge]:
    """Return the keys named on the command line, or those pinned in the home; with a home, its verdicts count, too."""
    keys = tuple(shown_public_key(file) for file in key_files)
    if home is None and keys:
        return Signers(keys=keys, threshold=1), _accept
    world = world_at(home, near, offline=True, quiet=quiet)
    if keys:
        signers = Signers(keys=keys, threshold=1)
    else:
        pinned = world.pinned
        signers = Signers(keys=tuple(pinned.keys("release")), threshold=pinned.threshold("release"))

    def judge(verdict: ReleaseVerdict) -> None:
        judge_release(verdict, world, frozenset(accept_revoked))

    return signers, judge


def _accept(_: ReleaseVerdict) -> None:
    """Accept a release: no home is there to judge it."""
