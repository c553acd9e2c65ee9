"""`cosmos boot`: start a release in QEMU and wait for its marker, or use the system."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from cosmos.canon import Json
from cosmos.cli.options import RELEASE, SECONDS, json_option
from cosmos.cli.progress import reporting_options
from cosmos.cli.terminal import answer, surroundings
from cosmos.errors import WorldFailed
from cosmos.process import attend_program, find_program
from cosmos.release.boot import (
    DEFAULT_MEMORY_MIB,
    DEFAULT_TIMEOUT_SECONDS,
    SSH_PORT,
    BootRequest,
    Forward,
    boot,
    boot_on_terminal,
)

_LOCAL_SSH_PORT = 2222
_HEARTBEAT_SECONDS = 10  # between the lines of a log about a system that says nothing
_FAILED = 255  # ssh(1): it could not log in; anything else is the status of the last command over there


@click.command("boot")
@click.argument("release", type=RELEASE)
@click.option("--marker", help="The line to wait for [default: the one that the release names].")
@click.option("--timeout", "timeout_seconds", type=SECONDS, default=DEFAULT_TIMEOUT_SECONDS, show_default=True)
@click.option(
    "--memory", "memory_mib", type=click.IntRange(64), default=DEFAULT_MEMORY_MIB, show_default=True, metavar="MIB"
)
@click.option("--console", "uses_console", is_flag=True, help="Use the system's console here, until it is powered off.")
@click.option(
    "--ssh", "uses_ssh", is_flag=True, help="Log in as root over SSH when the system is well; it ends with the login."
)
@click.option(
    "--forward",
    "forwards",
    multiple=True,
    metavar="HOST:GUEST",
    callback=lambda _ctx, _param, words: tuple(map(_forward, words)),
    help="Let this TCP port of 127.0.0.1 lead to a port of the system, which then stays. May be repeated.",
)
@click.option("--no-kvm", is_flag=True, help="Emulate, also where KVM can be used.")
@reporting_options
@json_option
def boot_command(
    release: Path,
    marker: str | None,
    timeout_seconds: float,
    memory_mib: int,
    uses_console: bool,
    uses_ssh: bool,
    forwards: tuple[Forward, ...],
    no_kvm: bool,
    as_json: bool,
) -> None:
    """Start a release in QEMU, show its console, and wait until the system says that it is well.

    Then it is powered off. With --forward it stays until Ctrl-C, and with --ssh until the end of the login.
    """
    if uses_console and (uses_ssh or as_json or marker):
        raise click.UsageError("--console gives you the system itself: it goes with none of --ssh, --marker and --json")
    if uses_console and not (surroundings().stdin_is_terminal and sys.stdout.isatty()):
        raise click.UsageError("--console wants a terminal")
    if uses_ssh and all(one.guest != SSH_PORT for one in forwards):
        forwards = (*forwards, Forward(host=_LOCAL_SSH_PORT, guest=SSH_PORT))
    request = BootRequest(
        release=release,
        marker=marker,
        timeout_seconds=timeout_seconds,
        memory_mib=memory_mib,
        forwards=forwards,
        stays=uses_console or bool(forwards),
        may_use_kvm=not no_kvm,
    )
    reporter = surroundings().reporter(quiet=as_json)
    for one in forwards:
        reporter.note(f"127.0.0.1:{one.host} leads to port {one.guest} of the system")
    if uses_console:
        reporter.note("the console of the system: Ctrl-A X ends it")
        with _restored():
            return boot_on_terminal(request)
    meanwhile = _login(release, forwards) if uses_ssh else None
    result = boot(request, console=reporter.note, tick=None if as_json else _ticking(), meanwhile=meanwhile)
    row: dict[str, Json] = {"marker": result.marker, "powered-off": result.powered_off, "lines": len(result.console)}
    return answer(row, as_json, f"{release}: booted, and said {result.marker}")


def _forward(text: str) -> Forward:
    try:
        return Forward.parse(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def _ticking() -> Callable[[float, str], None]:
    """Return what tells of a silent system: on a terminal in one line, in a log now and then."""
    terminal, told = surroundings().terminal, 0.0

    def tick(seconds: float, last: str) -> None:
        nonlocal told
        if terminal.is_live or seconds - told >= _HEARTBEAT_SECONDS:
            told = seconds
            terminal.item(f"{seconds:4.0f} s  {last or 'the kernel starts'}")

    return tick


def _login(release: Path, forwards: tuple[Forward, ...]) -> Callable[[], None]:
    """Return what logs in over SSH. Raises `WorldFailed` if there is no SSH client, before anything is started."""
    program = find_program("ssh", "apt-get install openssh-client")
    port = next(one.host for one in forwards if one.guest == SSH_PORT)
    # the system makes a new host key at each start, so no earlier login could have noted it; it runs on this machine
    options = ("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR", "ConnectionAttempts=5")
    words = [program, "-p", str(port), *(word for option in options for word in ("-o", option)), "root@127.0.0.1"]
    environ = surroundings().environ

    def login() -> None:
        surroundings().terminal.note(" ".join(("ssh", *words[1:])))
        with _restored():
            status = attend_program(words, env=environ, where="ssh")
        if status == _FAILED:
            hint = 'the image needs the star dropbear, and your public key in [vars]: ssh_keys = ["ssh-ed25519 …"]'
            raise WorldFailed(str(release), "nobody could log in over SSH", hint=hint)

    return login


@contextlib.contextmanager
def _restored() -> Iterator[None]:
    """Give the terminal to another program, and put its settings back afterwards, however the program ended."""
    if not surroundings().stdin_is_terminal:
        yield
        return
    import termios

    before = termios.tcgetattr(sys.stdin)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
