"""Who must have signed a release that an update makes, and who judges it: as `cosmos verify` does, or a system."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from cosmos.cli.cosmos.world import world_at
from cosmos.cli.options import EXISTING_FOLDER
from cosmos.cli.trust_words import shown_public_key
from cosmos.device.releases import SystemJudge
from cosmos.device.root import LiveRoot
from cosmos.records import dataclass
from cosmos.release.delta.applying import Judge
from cosmos.release.verdicts import Home, judge_release
from cosmos.release.verify import ReleaseVerdict
from cosmos.trust.keys import PublicKey
from cosmos.trust.releases import ReleaseKeys

judge_root_option = click.option(
    "--root", "judge_root", type=EXISTING_FOLDER, metavar="ROOT",
    help="Judge it by the trust anchors and the memory of the system at ROOT.",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """The options that say by whom a release is judged."""

    key_files: tuple[Path, ...]
    home: Path | None
    root: Path | None
    accept_revoked: tuple[str, ...]


@contextmanager
def signers_and_judge(by: Judged, near: Path, *, quiet: bool) -> Iterator[tuple[ReleaseKeys, Judge]]:
    """Give the keys that count, and the judge: the named keys, and a home or a system whose memory counts, too.

    Without any of these, it is the nearest home. Raises `UsageError` for a home and a system together.
    """
    if by.home is not None and by.root is not None:
        raise click.UsageError("--home and --root exclude each other")
    keys = tuple(shown_public_key(file) for file in by.key_files)
    if by.root is not None:
        with LiveRoot.open(by.root) as root:
            system = SystemJudge(root)
            yield _signers(keys, system), _judge(system, by)
    elif by.home is None and keys:
        yield ReleaseKeys(keys=keys), _accept
    else:
        world = world_at(by.home, near, offline=True, quiet=quiet)
        yield _signers(keys, world), _judge(world, by)


def _signers(keys: tuple[PublicKey, ...], home: Home) -> ReleaseKeys:
    return ReleaseKeys(keys=keys) if keys else ReleaseKeys.pinned(home.pinned)


def _judge(home: Home, by: Judged) -> Judge:
    def judge(verdict: ReleaseVerdict) -> None:
        judge_release(verdict, home, frozenset(by.accept_revoked))

    return judge


def _accept(_: ReleaseVerdict) -> None:
    """Accept a release: nothing is there to judge it by."""
