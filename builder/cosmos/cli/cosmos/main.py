"""`cosmos`: builds images, and manages the system that it runs on.

The single-file binary is also `stellar`: if it has this name, or as `cosmos stellar …`.

A command is imported only when it is called, so `cosmos --version` imports none. `run` handles Ctrl-C also while a
command is being imported. The functions of the table use import statements, so that mypy, the check of the floors, and
the build of the binary see them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Final, NoReturn

import click

from cosmos.about import VERSION
from cosmos.cli.lazy import LazyGroup
from cosmos.cli.leaving import run_and_leave

_HELP = """Build offline system images from signed packages, and manage the systems that run them.

Building: new, freeze, outdated, add, remove, build, dev, vendor, rebuild, verify, diff, report, lint, audit, sbom,
attest, ls, cat, tree, why, boot, nova, attach-signature, doctor, store, schema, completion.
Updates: delta, apply, fetch.
On a system: init, bootstrap, sync, search, install, update, uninstall, autoremove, status, verify, repair, show, owns,
why, history, freeze. Trust: key, trust.
Exit codes: 0 done, 2 malformed, 3 no solution, 4 refused, 5 the world failed, 6 a script failed, 7 differs.
"""


def _new() -> click.Command:
    from cosmos.cli.cosmos.new import new

    return new


def _freeze() -> click.Command:
    from cosmos.cli.cosmos.freeze import freeze_command

    return freeze_command


def _outdated() -> click.Command:
    from cosmos.cli.cosmos.outdated import outdated

    return outdated


def _add() -> click.Command:
    from cosmos.cli.cosmos.add import add

    return add


def _remove() -> click.Command:
    from cosmos.cli.cosmos.remove import remove

    return remove


def _build() -> click.Command:
    from cosmos.cli.cosmos.build import build

    return build


def _dev() -> click.Command:
    from cosmos.cli.cosmos.dev import dev

    return dev


def _verify() -> click.Command:
    from cosmos.cli.cosmos.verify import verify

    return verify


def _diff() -> click.Command:
    from cosmos.cli.cosmos.diff import diff

    return diff


def _report() -> click.Command:
    from cosmos.cli.cosmos.report import report

    return report


def _delta() -> click.Command:
    from cosmos.cli.cosmos.delta import delta

    return delta


def _apply() -> click.Command:
    from cosmos.cli.cosmos.apply import apply

    return apply


def _fetch() -> click.Command:
    from cosmos.cli.cosmos.fetch import fetch

    return fetch


def _ls() -> click.Command:
    from cosmos.cli.cosmos.ls import ls

    return ls


def _cat() -> click.Command:
    from cosmos.cli.cosmos.cat import cat

    return cat


def _boot() -> click.Command:
    from cosmos.cli.cosmos.boot import boot_command

    return boot_command


def _rebuild() -> click.Command:
    from cosmos.cli.cosmos.rebuild import rebuild_command

    return rebuild_command


def _rebuild_once() -> click.Command:
    from cosmos.cli.cosmos.rebuild_once import rebuild_once

    return rebuild_once


def _vendor() -> click.Command:
    from cosmos.cli.cosmos.vendor import vendor

    return vendor


def _sbom() -> click.Command:
    from cosmos.cli.cosmos.sbom import sbom

    return sbom


def _audit() -> click.Command:
    from cosmos.cli.cosmos.audit import audit_command

    return audit_command


def _doctor() -> click.Command:
    from cosmos.cli.cosmos.doctor import doctor

    return doctor


def _tree() -> click.Command:
    from cosmos.cli.cosmos.tree import tree

    return tree


def _lint() -> click.Command:
    from cosmos.cli.cosmos.lint import lint

    return lint


def _attest() -> click.Command:
    from cosmos.cli.cosmos.attest import attest

    return attest


def _attach_signature() -> click.Command:
    from cosmos.cli.cosmos.attach_signature import attach

    return attach


def _nova() -> click.Command:
    from cosmos.cli.cosmos.nova import nova

    return nova


def _init() -> click.Command:
    from cosmos.cli.cosmos.init import init

    return init


def _bootstrap() -> click.Command:
    from cosmos.cli.cosmos.bootstrap import bootstrap_command

    return bootstrap_command


def _add_galaxy() -> click.Command:
    from cosmos.cli.cosmos.add_galaxy import add_galaxy

    return add_galaxy


def _remove_galaxy() -> click.Command:
    from cosmos.cli.cosmos.remove_galaxy import remove_galaxy

    return remove_galaxy


def _list_galaxies() -> click.Command:
    from cosmos.cli.cosmos.list_galaxies import list_galaxies

    return list_galaxies


def _sync() -> click.Command:
    from cosmos.cli.cosmos.sync import sync

    return sync


def _install() -> click.Command:
    from cosmos.cli.cosmos.install import install_command

    return install_command


def _update() -> click.Command:
    from cosmos.cli.cosmos.update import update_command

    return update_command


def _uninstall() -> click.Command:
    from cosmos.cli.cosmos.uninstall import uninstall_command

    return uninstall_command


def _autoremove() -> click.Command:
    from cosmos.cli.cosmos.autoremove import autoremove_command

    return autoremove_command


def _repair() -> click.Command:
    from cosmos.cli.cosmos.repair import repair_command

    return repair_command


def _status() -> click.Command:
    from cosmos.cli.cosmos.status import status

    return status


def _search() -> click.Command:
    from cosmos.cli.cosmos.search import search

    return search


def _show() -> click.Command:
    from cosmos.cli.cosmos.show import show

    return show


def _owns() -> click.Command:
    from cosmos.cli.cosmos.owns import owns

    return owns


def _why() -> click.Command:
    from cosmos.cli.cosmos.why import why

    return why


def _history() -> click.Command:
    from cosmos.cli.cosmos.history import history

    return history


def _key() -> click.Command:
    from cosmos.cli.cosmos.key.group import key

    return key


def _trust() -> click.Command:
    from cosmos.cli.cosmos.trust.group import trust

    return trust


def _store() -> click.Command:
    from cosmos.cli.cosmos.store.group import store

    return store


def _completion() -> click.Command:
    from cosmos.cli.completion import completion

    return completion


def _schema() -> click.Command:
    from cosmos.cli.cosmos.schema import schema_command

    return schema_command


def _manual() -> click.Command:
    from cosmos.cli.manual import manual

    return manual


def _stellar() -> click.Command:
    from cosmos.cli.stellar.main import stellar

    return stellar


_COMMANDS: Final[Mapping[str, Callable[[], click.Command]]] = {
    "new": _new,
    "freeze": _freeze,
    "outdated": _outdated,
    "add": _add,
    "remove": _remove,
    "build": _build,
    "dev": _dev,
    "rebuild": _rebuild,
    "rebuild-once": _rebuild_once,
    "vendor": _vendor,
    "sbom": _sbom,
    "audit": _audit,
    "lint": _lint,
    "tree": _tree,
    "doctor": _doctor,
    "verify": _verify,
    "diff": _diff,
    "report": _report,
    "delta": _delta,
    "apply": _apply,
    "fetch": _fetch,
    "ls": _ls,
    "cat": _cat,
    "boot": _boot,
    "attest": _attest,
    "attach-signature": _attach_signature,
    "nova": _nova,
    "init": _init,
    "bootstrap": _bootstrap,
    "add-galaxy": _add_galaxy,
    "remove-galaxy": _remove_galaxy,
    "list-galaxies": _list_galaxies,
    "sync": _sync,
    "install": _install,
    "update": _update,
    "uninstall": _uninstall,
    "autoremove": _autoremove,
    "repair": _repair,
    "status": _status,
    "search": _search,
    "show": _show,
    "owns": _owns,
    "why": _why,
    "history": _history,
    "store": _store,
    "key": _key,
    "trust": _trust,
    "completion": _completion,
    "schema": _schema,
    "manual": _manual,
    "stellar": _stellar,
}


@click.group(
    cls=LazyGroup, help=_HELP, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(VERSION, message="%(prog)s %(version)s")
def program() -> None:
    """Group the commands."""


program.loaders = _COMMANDS


def main() -> NoReturn:
    """Run the called program: `stellar` if the file has this name, otherwise `cosmos`."""
    if PurePath(sys.argv[0]).name.startswith("stellar"):
        run_and_leave(_stellar(), "stellar", sys.argv[1:])
    run_and_leave(program, "cosmos", sys.argv[1:])
