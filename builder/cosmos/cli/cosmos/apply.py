"""`cosmos apply`: make the next release out of the present one and a delta."""

from __future__ import annotations

from pathlib import Path

import click

from cosmos.cli.cosmos.options import accept_revoked_option, home_option
from cosmos.cli.cosmos.release_keys import signers_and_judge
from cosmos.cli.cosmos.release_words import answer_made
from cosmos.cli.options import EXISTING_FILE, EXISTING_FOLDER, FOLDER, json_option
from cosmos.cli.terminal import surroundings
from cosmos.device.installed_layers import InstalledLayers
from cosmos.device.root import LiveRoot
from cosmos.release.delta.applying import apply_delta
from cosmos.release.delta.delta_file import OpenDelta
from cosmos.release.delta.old_release import OldRelease, right_base


@click.command()
@click.argument("file", type=EXISTING_FILE, metavar="DELTA")
@click.option("--from", "old", type=EXISTING_FOLDER, metavar="OLD", help="The release that the delta is for.")
@click.option(
    "--from-any", "olds", type=EXISTING_FOLDER, multiple=True, metavar="DIR", help="Find it among the releases in DIR."
)
@click.option("--from-root", "root", type=EXISTING_FOLDER, metavar="ROOT", help="Use the files of the system at ROOT.")
@click.option("-o", "--out", type=FOLDER, required=True, metavar="NEW", help="Where the new release goes.")
@click.option("--key", "key_files", type=EXISTING_FILE, multiple=True, help="A public key of the release's signer.")
@accept_revoked_option
@home_option
@json_option
def apply(
    file: Path,
    old: Path | None,
    olds: tuple[Path, ...],
    root: Path | None,
    out: Path,
    key_files: tuple[Path, ...],
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
    signers, judge = signers_and_judge(key_files, home, out, accept_revoked, quiet=as_json)
    delta = OpenDelta.open(file, keys=signers.keys, threshold=signers.threshold)
    reporter = surroundings().reporter(quiet=as_json)
    if root is not None:
        with LiveRoot.open(root) as system:
            installed = InstalledLayers(system, delta.head, delta.source, out.absolute().parent)
            made = apply_delta(delta, installed, out, signers, judge, reporter)
    else:
        base = right_base(olds, delta.head.old) if old is None else OldRelease.open(old, delta.head.old)
        made = apply_delta(delta, base, out, signers, judge, reporter)
    answer_made(made, out, as_json)
