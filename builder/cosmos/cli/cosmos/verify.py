"""`cosmos verify`: check a release against pinned keys, or a system against its universe."""

from __future__ import annotations

from pathlib import Path

import click

from cosmos.cli.cosmos.differences import differences_in_json
from cosmos.cli.cosmos.options import (
    accept_revoked_option,
    badges_option,
    from_option,
    home_option,
    key_option,
)
from cosmos.cli.options import FOLDER, PATH, json_option
from cosmos.cli.progress import reporting_options

_quorum_option = click.option(
    "--quorum", type=click.IntRange(min=1), metavar="N", help="Require that N pinned attesters have rebuilt it."
)


@click.command()
@click.argument("path", type=PATH, required=False)
@key_option
@click.option("--root", type=FOLDER, help="Check the system at this root instead [default: /].")
@click.option("--trust", "demands_trust", is_flag=True, help="Of a system: every star must be trusted now (exit 7).")
@click.option("--recorded", is_flag=True, help="Of a system: compare with universe.toml alone, and unpack no archive.")
@from_option
@_quorum_option
@badges_option
@accept_revoked_option
@home_option
@reporting_options
@json_option
@differences_in_json({"verified": False}, of="path")
def verify(
    path: Path | None,
    key_files: tuple[Path, ...],
    root: Path | None,
    demands_trust: bool,
    recorded: bool,
    sticks: tuple[Path, ...],
    quorum: int | None,
    badges_file: Path | None,
    accept_revoked: tuple[str, ...],
    home: Path | None,
    as_json: bool,
) -> None:
    """Check the release in PATH against a pinned key; without PATH, the running system against what was signed.

    Of a system, each star is compared with its signed archive, if the cache or a local galaxy has it, otherwise with
    the system's own universe. With --from RELEASE, the image's own layers and its stars are compared with the release
    that the system was made from, which is verified first.

    Without --key, or with --home, the trust anchors of the home also judge it: was it valid when it was locked, and is
    it trusted now? Exit 0: every byte is as it was signed or recorded. Exit 4: a bad signature, a revoked key, or a
    release older than one seen before. Exit 7: something differs, and is named.
    """
    if path is None:
        if quorum:
            raise click.UsageError("--quorum belongs to a release: name its folder")
        _verify_system(root, (sticks, key_files, accept_revoked), as_json, recorded=recorded, trusted=demands_trust)
        return
    if root is not None:
        raise click.UsageError("name a release or a --root, not both")
    if demands_trust or recorded or sticks:
        raise click.UsageError("--trust, --recorded and --from belong to a system: leave the release out")
    from cosmos.cli.cosmos.verify_release import verify_release  # a system is verified without these modules

    verify_release(path, key_files, quorum, badges_file, accept_revoked, home, as_json=as_json)


def _verify_system(
    root: Path | None,
    source: tuple[tuple[Path, ...], tuple[Path, ...], tuple[str, ...]],
    as_json: bool,
    *,
    recorded: bool,
    trusted: bool,
) -> None:
    """Check a system against the release and galaxies of `source`: folders, keys, and revoked keys to accept."""
    if recorded and source[0]:
        raise click.UsageError("--recorded reads nothing signed: leave --from or --recorded out")
    from cosmos.cli.cosmos.from_release import release_asked  # the device's modules: for a release, a tenth of the time
    from cosmos.cli.cosmos.verify_system import verify_system
    from cosmos.device.verify import HowToVerify

    release, galaxies = release_asked(*source)
    how = HowToVerify(by_record=recorded, demands_trust=trusted, sticks=galaxies, release=release)
    verify_system(root, how, as_json)
