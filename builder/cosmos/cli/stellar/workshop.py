"""The workshop of the commands that read the recipes of stars."""

from __future__ import annotations

from cosmos.cli.stellar.options import AptOptions, apt_opener, machine
from cosmos.model.reporter import Reporter
from cosmos.stellar.build_star import DEFAULT_LEVEL, Workshop
from cosmos.stellar.programs import HostPrograms


def workshop_for(apt: AptOptions, arch: str, reporter: Reporter) -> Workshop:
    """Return the workshop for stars of the machine `--arch`; raises `Malformed`."""
    return Workshop(
        open_apt=apt_opener(apt, reporter),
        machine=machine(arch),
        programs=lambda time: HostPrograms(epoch=time, reporter=reporter),
        level=DEFAULT_LEVEL,
        epoch=None,
        reporter=reporter,
    )
