"""Make the `Workshop` of the commands that read recipes of stars."""

from __future__ import annotations

from cosmos.cli.stellar.options import machine
from cosmos.stellar.archive_file import DEFAULT_LEVEL
from cosmos.stellar.build_star import Workshop
from cosmos.stellar.ecosystems import opened
from cosmos.stellar.programs import HostPrograms
from cosmos.tree.ecosystem import Outside


def workshop_for(here: Outside, arch: str) -> Workshop:
    """Return the workshop for stars of the machine `--arch`; raises `Malformed`."""
    return Workshop(
        ecosystems=opened(here),
        machine=machine(arch),
        programs=lambda time: HostPrograms(epoch=time, reporter=here.reporter),
        level=DEFAULT_LEVEL,
        epoch=None,
        reporter=here.reporter,
    )
