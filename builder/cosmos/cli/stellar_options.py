"""Options and values that several of `stellar`'s commands share."""

from __future__ import annotations

import platform
from pathlib import Path

import click

from cosmos.cli.terminal import surroundings
from cosmos.errors import Malformed
from cosmos.model.names import Arch
from cosmos.model.reporter import Reporter
from cosmos.stellar.build_star import DEFAULT_LEVEL, OpenApt
from cosmos.transport.apt import Apt

FOLDER = click.Path(file_okay=False, path_type=Path)
KEY = click.Path(exists=True, dir_okay=False, path_type=Path)

json_option = click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
keys_option = click.option(
    "--key", "keys", type=KEY, multiple=True, help="Secret key to sign with; may be given more than once."
)
home_option = click.option("--home", type=FOLDER, envvar="COSMOS_HOME", help="Where fetched packages are kept.")
offline_option = click.option("--offline", is_flag=True, help="Use what was fetched before; make no connection.")
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


def apt_opener(home: Path | None, near: Path, *, offline: bool, reporter: Reporter) -> OpenApt:
    """Return what opens the host's package sources; their private state lies in the builder's home."""
    around = surroundings()
    state = around.home(home, near=near) / "apt"

    def open_apt(wanted: Arch) -> Apt:
        return Apt.at(state, wanted, environ=around.environ, now=around.now(), offline=offline, reporter=reporter)

    return open_apt
