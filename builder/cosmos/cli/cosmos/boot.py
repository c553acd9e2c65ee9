"""`cosmos boot`: start a release in QEMU and wait for its marker."""

from __future__ import annotations

from pathlib import Path

import click

from cosmos.canon import Json
from cosmos.cli.options import FOLDER, SECONDS, json_option
from cosmos.cli.terminal import answer, surroundings
from cosmos.release.boot import DEFAULT_MEMORY_MIB, DEFAULT_TIMEOUT_SECONDS, BootRequest, boot


@click.command("boot")
@click.argument("release", type=FOLDER)
@click.option("--marker", help="The line to wait for [default: the one that the release names].")
@click.option("--timeout", "timeout_seconds", type=SECONDS, default=DEFAULT_TIMEOUT_SECONDS, show_default=True)
@click.option(
    "--memory", "memory_mib", type=click.IntRange(64), default=DEFAULT_MEMORY_MIB, show_default=True, metavar="MIB"
)
@json_option
def boot_command(release: Path, marker: str | None, timeout_seconds: float, memory_mib: int, as_json: bool) -> None:
    """Start a release in QEMU, show its console, and wait until the system says that it is well."""
    around = surroundings()
    request = BootRequest(release=release, marker=marker, timeout_seconds=timeout_seconds, memory_mib=memory_mib)
    result = boot(request, console=around.reporter(quiet=as_json).note)
    row: dict[str, Json] = {"marker": result.marker, "powered-off": result.powered_off, "lines": len(result.console)}
    answer(row, as_json, f"{release}: booted, and said {result.marker}")
