"""`cosmos sbom`: print the bill of materials of a release or of a system."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from cosmos.about import VERSION
from cosmos.cli.options import EXISTING_FOLDER
from cosmos.cli.terminal import surroundings
from cosmos.device.root import LiveRoot
from cosmos.device.system import read_universe
from cosmos.model.universe import UNIVERSE_PATH
from cosmos.release.bill import release_bill
from cosmos.sbom.bill import Bill, components_of, unknown_of
from cosmos.sbom.cyclonedx import cyclonedx
from cosmos.sbom.spdx import spdx

_FORMS = {"spdx": spdx, "cyclonedx": cyclonedx}


@click.command()
@click.argument("place", metavar="RELEASE|ROOT", type=EXISTING_FOLDER)
@click.option(
    "--format", "form", type=click.Choice(tuple(_FORMS)), default="spdx", help="SPDX 2.3 [default], or CycloneDX 1.6."
)
def sbom(place: Path, form: str) -> None:
    """Print the bill of materials of a release, or of the system at ROOT, as JSON.

    That of a release is its own file, checked against RELEASE.json. That of a system lists what is installed now.
    It has what the system records, says what is missing, and has the time of the last change.
    """
    data = release_bill(place, form)
    if data is None:
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
        data = _FORMS[form](bill)
    sys.stdout.write(data.decode())
