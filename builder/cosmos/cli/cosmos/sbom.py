"""`cosmos sbom`: print the bill of materials of a release or of a system."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

import click

from cosmos.about import VERSION
from cosmos.cli.options import EXISTING_FILE, EXISTING_FOLDER
from cosmos.cli.terminal import NamingStdout, surroundings
from cosmos.device.root import LiveRoot
from cosmos.device.system import read_universe
from cosmos.errors import Malformed
from cosmos.model.reporter import counted
from cosmos.model.universe import UNIVERSE_PATH
from cosmos.release.additions import added_to, read_rebuilds, read_vex, release_files
from cosmos.release.bill import release_bill, release_folder
from cosmos.sbom.additions import Additions, Rebuilds, debian_purls
from cosmos.sbom.bill import Bill, components_of, unknown_of
from cosmos.sbom.cyclonedx import cyclonedx
from cosmos.sbom.spdx import spdx

_FORMS = {"spdx": spdx, "cyclonedx": cyclonedx}


@click.command()
@click.argument("place", metavar="RELEASE|ROOT", type=EXISTING_FOLDER)
@click.option(
    "--format", "form", type=click.Choice(tuple(_FORMS)), default="spdx", help="SPDX 2.3 [default], or CycloneDX 1.6."
)
@click.option("--files", "with_files", is_flag=True, help="Also list each file of the release, with its star.")
@click.option(
    "--rebuilt", "lists", type=EXISTING_FILE, multiple=True, help="Also say what this list of rebuilt packages says."
)
@click.option("--vex", "statements", type=EXISTING_FILE, multiple=True, help="Also refer to this VEX document.")
def sbom(place: Path, form: str, with_files: bool, lists: tuple[Path, ...], statements: tuple[Path, ...]) -> None:
    """Print the bill of materials of a release, or of the system at ROOT, as JSON.

    That of a release is its own file, checked against RELEASE.json. That of a system lists what is installed now.
    It has what the system records, says what is missing, and has the time of the last change. With --files, --rebuilt
    or --vex it is another document, with a name of its own.
    """
    rebuilds, vex = tuple(map(read_rebuilds, lists)), tuple(map(read_vex, statements))
    folder = release_folder(place)
    if folder is None and with_files:
        raise Malformed(str(place), "is no release; --files lists those of a release",
                        hint="cosmos verify --root ROOT says which files a system has changed")  # fmt: skip
    data = release_bill(place, form) or _system_bill(place, form)
    files = release_files(folder) if folder is not None and with_files else ()
    if files or rebuilds or vex:
        before, data = data, added_to(data, form, Additions(files=files, rebuilds=rebuilds, vex=vex), str(place))
        _tell_of_rebuilds(rebuilds, before, form)
    with NamingStdout():
        sys.stdout.write(data.decode())


def _system_bill(place: Path, form: str) -> bytes:
    with LiveRoot.open(place) as live:
        universe, status = read_universe(live), live.stat(UNIVERSE_PATH)
    unknown = unknown_of(universe)
    surroundings().terminal.note(f"{place}: {unknown}")
    bill = Bill(
        name=universe.image or "system",
        version=universe.version,
        root=None,
        epoch=0 if status is None else int(status.st_mtime),
        cosmos=VERSION,
        components=components_of(universe),
        comment=unknown,
    )
    return _FORMS[form](bill)


def _tell_of_rebuilds(rebuilds: tuple[Rebuilds, ...], data: bytes, form: str) -> None:
    """Say how many of the bill's packages each list has, and with which status."""
    purls = debian_purls(json.loads(data), form)
    for one in rebuilds:
        found = Counter(one.status(purl) or "not listed" for purl in purls)
        counts = ", ".join(f"{number} {status}" for status, number in sorted(found.items())) or "none to look up"
        surroundings().terminal.note(f"{one.source}: {counted(len(purls), 'package')} of Debian: {counts}")
