"""Options and values that several commands of `stellar` share."""

from __future__ import annotations

import platform
from pathlib import Path

import click

from cosmos.cli.options import EXISTING_FILE, FOLDER, SECRET_KEY
from cosmos.cli.terminal import surroundings
from cosmos.errors import Malformed
from cosmos.model.names import Arch, Suite
from cosmos.model.reporter import Reporter
from cosmos.stellar.archive_file import DEFAULT_LEVEL
from cosmos.tree.ecosystem import Outside

keys_option = click.option(
    "--key", "keys", type=SECRET_KEY, multiple=True, help="Secret key to sign with; may be given more than once."
)
home_option = click.option("--home", type=FOLDER, envvar="COSMOS_HOME", help="Where fetched packages are kept.")
offline_option = click.option(
    "--offline", is_flag=True, help="Use packages that were fetched before; make no connection."
)
sources_option = click.option(
    "--apt-sources",
    "apt_sources",
    type=EXISTING_FILE,
    help="Take packages from the sources in this file (sources.list), instead of the host's.",
)
suite_option = click.option(
    "--suite",
    metavar="NAME",
    help="Take packages from this release of Debian [default: as in the host's sources].",
)
arch_option = click.option(
    "--arch", metavar="ARCH", default=platform.machine(), show_default=True, help="Fetch packages for this machine."
)
level_option = click.option(
    "--level", type=click.IntRange(1, 19), default=DEFAULT_LEVEL, show_default=True, help="zstd level of archives."
)
replace_option = click.option(
    "--replace",
    "unpublished",
    flag_value="replace",
    default="refuse",
    help="Replace a star of that version which no index has listed yet.",
)


def machine(arch: str) -> Arch:
    """Return `--arch` as an architecture; raises `Malformed`."""
    try:
        return Arch.written(arch)
    except ValueError as error:
        raise Malformed("--arch", str(error)) from error


def suite_named(name: str | None) -> Suite | None:
    """Return `--suite` as a suite; raises `Malformed`."""
    try:
        return None if name is None else Suite.parse(name)
    except ValueError as error:
        raise Malformed("--suite", str(error)) from error


def outside(home: Path, apt_sources: Path | None, offline: bool, reporter: Reporter) -> Outside:
    """Return the parts of this machine that ecosystems may use."""
    around = surroundings()
    return Outside(
        home=home,
        environ=around.environ,
        now=around.now(),
        offline=offline,
        reporter=reporter,
        apt_sources=apt_sources,
    )
