"""The commands of `cosmos`: all are found, and each is imported when it is asked for."""

from __future__ import annotations

import subprocess
import sys

import click

from cosmos.cli import attesting, building, device, nova, releasing, syncing, trusting
from cosmos.cli.cosmos import program
from cosmos.cli.stellar import stellar


def test_every_command_that_a_room_offers_is_found_and_no_other() -> None:
    context = click.Context(program)
    single = (attesting.attest, releasing.attach, syncing.sync, *nova.COMMANDS, stellar)
    offered = {one.name: one for one in (*building.COMMANDS, *device.COMMANDS, *trusting.COMMANDS, *single)}
    assert {name: program.get_command(context, name) for name in program.list_commands(context)} == offered
    assert program.get_command(context, "no-such") is None


def test_the_version_is_told_without_importing_any_command() -> None:
    text = """
import atexit, sys
atexit.register(lambda: print([name for name in sys.modules if name.startswith(("cosmos.image", "cosmos.stellar"))]))
sys.argv = ["cosmos", "--version"]
from cosmos.cli.cosmos import main; main()
"""
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
