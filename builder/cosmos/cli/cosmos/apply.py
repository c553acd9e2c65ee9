"""`cosmos apply`: make the next release out of the present one and a delta."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import click

from cosmos.cli.cosmos.options import accept_revoked_option, home_option
from cosmos.cli.cosmos.release_keys import Judged, judge_root_option, signers_and_judge
from cosmos.cli.cosmos.release_words import answer_made
from cosmos.cli.options import EXISTING_FILE, EXISTING_FOLDER, FOLDER, PUBLIC_KEY, RELEASE, json_option
from cosmos.cli.progress import reporting_options
from cosmos.cli.terminal import surroundings
from cosmos.device.installed_layers import InstalledLayers
from cosmos.device.root import LiveRoot
from cosmos.release.delta.applying import Base, apply_delta
from cosmos.release.delta.delta_file import OpenDelta
from cosmos.release.delta.old_release import OldRelease, right_base


@click.command()
@click.argument("file", type=EXISTING_FILE, metavar="DELTA")
@click.option("--from", "old", type=RELEASE, metavar="OLD", help="The release that the delta is for.")
@click.option(
    "--from-any", "olds", type=EXISTING_FOLDER, multiple=True, metavar="DIR", help="Find it among the releases in DIR."
)
@click.option("--from-root", "root", type=EXISTING_FOLDER, metavar="ROOT", help="Use the files of the system at ROOT.")
@click.option("-o", "--out", type=FOLDER, required=True, metavar="NEW", help="Where the new release goes.")
@click.option("--key", "key_files", type=PUBLIC_KEY, multiple=True, help="A public key of the release's signer.")
@judge_root_option
@accept_revoked_option
@home_option
@reporting_options
@json_option
def apply(
    file: Path,
    old: Path | None,
    olds: tuple[Path, ...],
    root: Path | None,
    out: Path,
    key_files: tuple[Path, ...],
    judge_root: Path | None,
    accept_revoked: tuple[str, ...],
    home: Path | None,
    as_json: bool,
) -> None:
    """Make the release that DELTA is for out of the release OLD, byte for byte as it was released.

    The delta and the release must be signed by a pinned key, as for `cosmos verify`. A killed run is continued by the
    same command. With --from-root, the files of a system take the place of OLD. Exit 2: the delta is cut off or is no
    delta. Exit 4: it was altered. Exit 7: OLD is another release, or a file of ROOT was changed.
    """
    if (old is not None) + bool(olds) + (root is not None) != 1:
        raise click.UsageError("name the old release, one way: --from OLD, --from-any DIR or --from-root ROOT")
    reporter = surroundings().reporter(quiet=as_json)
    by = Judged(key_files=key_files, home=home, root=judge_root, accept_revoked=accept_revoked)
    with ExitStack() as held:
        signers, judge = held.enter_context(signers_and_judge(by, out, quiet=as_json))
        delta = OpenDelta.open(file, keys=signers.keys, threshold=signers.threshold)
        if root is not None:
            system = held.enter_context(LiveRoot.open(root))
            base: Base = InstalledLayers(system, delta.head, delta.source, out.absolute().parent)
        elif old is not None:
            base = OldRelease.open(old, delta.head.old)
        else:
            base = right_base(olds, delta.head.old)
        made = apply_delta(delta, base, out, signers, judge, reporter)
    answer_made(made, out, as_json)
