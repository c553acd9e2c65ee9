"""`cosmos freeze`: write the lock of an image, or of a system. Neither part is imported for the other."""

from __future__ import annotations

import datetime
import re
from pathlib import Path

import click

from cosmos.cli.cosmos.differences import differences_in_json
from cosmos.cli.cosmos.options import home_option
from cosmos.cli.options import EXISTING_FILE, FOLDER, IMAGE, json_option
from cosmos.cli.passphrase import passphrase_fd_option
from cosmos.cli.progress import reporting_options
from cosmos.errors import Malformed, quoted

_EVERYTHING = "*"  # what --upgrade gets without a name
_DATE = re.compile(r"[0-9]{4}([-.])[0-9]{2}\1[0-9]{2}", re.ASCII)


@click.command("freeze")
@click.argument("image", type=IMAGE, required=False)
@click.option(
    "--check", "only_check", is_flag=True, help="Only check the lock, offline: exit 7 if it is stale, 3 if it is wrong."
)
@click.option(
    "--upgrade",
    "upgraded",
    multiple=True,
    is_flag=False,
    flag_value="*",
    metavar="[STAR]",
    help="Move this star (without a name: every star) to the newest version that fits. May be repeated.",
)
@click.option("--allow-downgrade", "lowered", multiple=True, metavar="STAR", help="Allow a lower version of this star.")
@click.option(
    "--as-of",
    metavar="DATE",
    help="Freeze against each galaxy's last snapshot of this date (2026-11-20) or before, instead of its newest.",
)
@click.option(
    "--trust-stat",
    is_flag=True,
    help="Take a file that has the size, times and inode of the last freeze for unchanged, without hashing it again.",
)
@click.option("--offline", is_flag=True, help="Use what the store holds; open no galaxy.")
@click.option(
    "--root", type=FOLDER, help="Without IMAGE: lock the stars that are installed on the system in this folder."
)
@click.option(
    "--image",
    "image_of",
    type=FOLDER,
    metavar="DIR",
    help="Without IMAGE: also write an image definition of the same stars into this new folder.",
)
@click.option("--sign", "key_file", type=EXISTING_FILE, help="Sign the lock with this secret key of the role release.")
@passphrase_fd_option
@home_option
@reporting_options
@json_option
@differences_in_json({"fresh": False}, of="image")
def freeze_command(
    image: Path | None,
    only_check: bool,
    upgraded: tuple[str, ...],
    lowered: tuple[str, ...],
    as_of: str | None,
    trust_stat: bool,
    offline: bool,
    root: Path | None,
    image_of: Path | None,
    key_file: Path | None,
    passphrase_fd: int | None,
    home: Path | None,
    as_json: bool,
) -> None:
    """Resolve IMAGE's stars and pin each in universe.lock.toml.

    If nothing changed since a freeze that changed nothing, this is seen from the bytes of every file that it read.

    Without IMAGE, pin the stars that are installed on this system (or on the system at --root).
    """
    if image is None:
        _demand_no_image_option(upgraded, asks=only_check or trust_stat or as_of is not None or key_file is not None)
        from cosmos.cli.cosmos.freeze_system import freeze_live

        return freeze_live(root, offline, image_of, as_json)
    _demand_fitting(root or image_of, upgraded if only_check else (), key_file if trust_stat else None)
    date = None if as_of is None else _date(as_of, reads_galaxies=not (offline or only_check))
    if only_check:
        from cosmos.cli.cosmos.freeze_image import check_image

        return check_image(image, as_json=as_json)
    from cosmos.cli.cosmos.kept_freeze import freeze_if_changed

    return freeze_if_changed(
        image,
        upgraded,
        lowered,
        trusts_stat=trust_stat,
        as_of=date,
        offline=offline,
        key_file=key_file,
        passphrase_fd=passphrase_fd,
        home=home,
        as_json=as_json,
    )


def _demand_fitting(of_system: Path | None, moved: tuple[str, ...], signer: Path | None) -> None:
    """Raise an error for options beside an image: of a system, to move stars in a check, to sign what is not read."""
    if of_system is not None:
        raise click.UsageError("name an IMAGE, or a system with --root and --image, not both")
    if moved:
        raise click.UsageError("--check changes nothing, and --upgrade would: give one of them")
    if signer is not None:
        raise click.UsageError("--trust-stat is not for a lock that is to be signed: every file is read for one")


def _demand_no_image_option(upgraded: tuple[str, ...], *, asks: bool) -> None:
    """Raise an error for the options that belong to an image, where no image is named."""
    taken = next((text for text in upgraded if Path(text).exists()), None)
    if taken is not None:
        raise Malformed(
            "--upgrade",
            f"took {taken} for the name of a star, so that no IMAGE is left",
            hint=f"cosmos freeze {quoted(taken)} --upgrade",
        )
    if upgraded or asks:
        raise click.UsageError("--check, --upgrade, --as-of, --trust-stat and --sign belong to an IMAGE")


def _date(text: str, *, reads_galaxies: bool) -> str:
    """Return a date as galaxies write it; raises `UsageError`. A span, such as 3 weeks, would need a clock."""
    if not reads_galaxies:
        raise click.UsageError("--as-of reads the snapshots of the galaxies: leave out --offline and --check")
    try:
        if not _DATE.fullmatch(text):
            raise ValueError("another form of ISO 8601")
        return datetime.date.fromisoformat(text.replace(".", "-")).strftime("%Y.%m.%d")
    except ValueError as error:
        raise click.UsageError(f"--as-of: want a date such as 2026-11-20, got {text[:40]!r}") from error
