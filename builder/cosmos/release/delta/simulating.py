"""How large an update would be, each way: `cosmos delta --simulate`."""

from __future__ import annotations

from pathlib import Path

from cosmos.model.delta import NewLayer
from cosmos.model.reporter import Reporter
from cosmos.records import dataclass
from cosmos.release.delta.making import Side, Wanted, layer_parts, packed_level
from cosmos.spool import Spool


@dataclass(frozen=True, kw_only=True, slots=True)
class Simulated:
    """An update from `old`. `changed` layers differ, the folders' and the image's own among them.

    `frames_bytes` is what `cosmos fetch` brings of the image, `patches_bytes` the layers of a delta, and `whole_bytes`
    the size of the image.
    """

    old: Path
    changed: int
    frames_bytes: int
    patches_bytes: int
    whole_bytes: int


def simulate(old: Side, new: Side, reporter: Reporter) -> Simulated:
    """Return the sizes of an update from `old` to `new`. Raises `Malformed`, `Refused` and `WorldFailed`."""
    level = packed_level(new.release, str(new.folder))
    parts = layer_parts(old, new, level, Wanted(), Spool(), reporter)
    changed = [layer for layer, _ in parts if isinstance(layer, NewLayer)]
    return Simulated(
        old=old.folder,
        changed=len(changed),
        frames_bytes=sum(layer.packed_bytes for layer in changed),
        patches_bytes=sum(layer.data_bytes for layer in changed),
        whole_bytes=new.subject.size_bytes,
    )
