"""Options and values that several of `stellar`'s commands share."""

from __future__ import annotations

import functools
import platform
from dataclasses import dataclass
from pathlib import Path

import click

from cosmos.cli.options import EXISTING_FILE, FOLDER
from cosmos.cli.terminal import surroundings
from cosmos.errors import Malformed
from cosmos.model.names import Arch, Suite
from cosmos.model.reporter import Reporter
from cosmos.stellar.build_star import DEFAULT_LEVEL, OpenApt
from cosmos.transport.apt import Apt

keys_option = click.option(
    "--key", "keys", type=EXISTING_FILE, multiple=True, help="Secret key to sign with; may be given more than once."
)
home_option = click.option("--home", type=FOLDER, envvar="COSMOS_HOME", help="Where fetched packages are kept.")
offline_option = click.option("--offline", is_flag=True, help="Use what was fetched before; make no connection.")
sources_option = click.option(
    "--apt-sources",
    "apt_sources",
    type=EXISTING_FILE,
    help="Take packages from the sources in this file (sources.list), instead of the host's.",
)
suite_option = click.option(
    "--suite",
    metavar="NAME",
    help="Take packages from this release of Debian [default: whatever the host's sources name].",
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
        return Arch.parse(arch)
    except ValueError as error:
        raise Malformed("--arch", str(error)) from error


def suite_named(name: str | None) -> Suite | None:
    """Return `--suite` as a suite; raises `Malformed`."""
    try:
        return None if name is None else Suite.parse(name)
    except ValueError as error:
        raise Malformed("--suite", str(error)) from error


@dataclass(frozen=True, kw_only=True, slots=True)
class AptOptions:
    """How packages are reached: where their private state lies, a file of sources instead of the host's, offline."""

    home: Path
    named: Path | None
    offline: bool


def apt_opener(options: AptOptions, reporter: Reporter) -> OpenApt:
    """Return what opens the sources of packages; each is opened once."""
    around = surroundings()

    @functools.cache
    def open_apt(wanted: Arch, suite: Suite | None = None) -> Apt:
        return Apt.at(
            options.home / "apt",
            wanted,
            suite=suite,
            named=options.named,
            environ=around.environ,
            now=around.now(),
            offline=options.offline,
            reporter=reporter,
        )

    return open_apt
