"""`stellar`: the maintainer's program. It makes, checks, signs and indexes stars and galaxies.

A command is imported only when it is called, as in `cosmos.cli.cosmos.main`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NoReturn

import click

from cosmos.about import VERSION
from cosmos.cli.lazy import LazyGroup
from cosmos.cli.leaving import run_and_leave

_HELP = """Make, check, sign and index stars and galaxies.

Stars: new-star, fetch, build-star, scripts, validate, show, lint, test, import-deb, attest.
Galaxies: galaxy-init, index-galaxy, sign, log.
Keys: trust new. For the shell: completion.
Exit codes: 0 done, 2 malformed, 3 no solution, 4 refused, 5 the world failed, 6 a script failed.
"""


def _new_star() -> click.Command:
    from cosmos.cli.stellar.new_star import new

    return new


def _build_star() -> click.Command:
    from cosmos.cli.stellar.build_star import build

    return build


def _scripts() -> click.Command:
    from cosmos.cli.stellar.scripts import scripts

    return scripts


def _validate() -> click.Command:
    from cosmos.cli.stellar.validate import validate

    return validate


def _show() -> click.Command:
    from cosmos.cli.stellar.show import show

    return show


def _test() -> click.Command:
    from cosmos.cli.stellar.test import test

    return test


def _lint() -> click.Command:
    from cosmos.cli.stellar.lint import lint

    return lint


def _fetch() -> click.Command:
    from cosmos.cli.stellar.fetch import fetch

    return fetch


def _import_deb() -> click.Command:
    from cosmos.cli.stellar.import_deb import import_deb

    return import_deb


def _galaxy_init() -> click.Command:
    from cosmos.cli.stellar.galaxy_init import galaxy_init

    return galaxy_init


def _index_galaxy() -> click.Command:
    from cosmos.cli.stellar.index_galaxy import index

    return index


def _sign() -> click.Command:
    from cosmos.cli.stellar.sign import sign

    return sign


def _log() -> click.Command:
    from cosmos.cli.stellar.log.group import log

    return log


def _attest() -> click.Command:
    from cosmos.cli.stellar.attest import attest

    return attest


def _trust() -> click.Command:
    from cosmos.cli.stellar.trust.group import trust

    return trust


def _completion() -> click.Command:
    from cosmos.cli.completion import completion

    return completion


def _manual() -> click.Command:
    from cosmos.cli.manual import manual

    return manual


_COMMANDS: Final[Mapping[str, Callable[[], click.Command]]] = {
    "new-star": _new_star,
    "build-star": _build_star,
    "scripts": _scripts,
    "validate": _validate,
    "show": _show,
    "test": _test,
    "lint": _lint,
    "fetch": _fetch,
    "import-deb": _import_deb,
    "galaxy-init": _galaxy_init,
    "index-galaxy": _index_galaxy,
    "sign": _sign,
    "log": _log,
    "attest": _attest,
    "trust": _trust,
    "completion": _completion,
    "manual": _manual,
}


@click.group(
    cls=LazyGroup, help=_HELP, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(VERSION, message="%(prog)s %(version)s")
def stellar() -> None:
    """Hold the commands."""


stellar.loaders = _COMMANDS


def main() -> NoReturn:
    """Run the program."""
    run_and_leave(stellar, "stellar")
