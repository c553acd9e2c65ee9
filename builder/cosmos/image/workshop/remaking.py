"""`cosmos build --audit N%`: make some layers again that the store had, and compare them.

The store is believed because it is sealed (`store.sealed`): this home wrote it. An audit asks further: is it still what
the star's script makes? A difference is a script that is not deterministic, a damaged machine, or a thief who has the
home's key. Which layers are made again follows from a seed, so that an audit can be repeated.
"""

from __future__ import annotations

from collections.abc import Iterator

from cosmos.errors import Differs
from cosmos.image.workshop.layers import StarLayer, Workshop
from cosmos.image.workshop.sampling import Audit
from cosmos.image.workshop.staging import StagedLayers
from cosmos.model.names import StarName
from cosmos.model.reporter import Reporter, counted
from cosmos.pack.image_file import LayerLine, PackedLayer
from cosmos.treepath import TreePath


def audit_layers(staged: StagedLayers, audit: Audit, reporter: Reporter) -> int:
    """Make the chosen layers again, and return how many; raises `Differs` that names every star and file that differs.

    A layer that was just made is not chosen. Nothing is written into the store.
    """
    workshop = staged.workshop
    names = audit.chosen([name for name in workshop.acquired if name not in staged.made])
    reporter.step(f"audit {counted(len(names), 'layer')} of {len(workshop.acquired)}, seed {audit.seed}")
    found: list[str] = []
    for done, name in enumerate(names, 1):
        found += [f"{name}: {what}" for what in _differences(workshop, name, staged.layers[name], staged)]
        reporter.progress(f"audit {name}", done, len(names))
    if found:
        raise Differs(
            "the store",
            f"{counted(len(found), 'difference')} between layers that it holds and what their stars make now "
            f"(seed {audit.seed})",
            differences=tuple(found),
            hint="find out who can write into the home, and whether the scripts are deterministic; "
            "then remove the store's folder",
        )
    return len(names)


def _differences(workshop: Workshop, name: StarName, kept: StarLayer, staged: StagedLayers) -> Iterator[str]:
    """Yield what differs in one star, first of all in its files."""
    made, packed = workshop.remade(name, staged.layers)
    before = {line.path: (line, time) for line, time in zip(kept.lines, kept.times, strict=True)}
    after = {line.path: (line, time) for line, time in zip(made.lines, made.times, strict=True)}
    for path in sorted(before.keys() | after.keys()):
        if before.get(path) != after.get(path):
            there = "is only in the store" if path not in after else "is not in the store" if path not in before else ""
            yield f"/{path.text} {there or 'is another in the store'}"
    if made.receipt != kept.receipt:
        yield "its script read something else than the store's receipt says"
    held = workshop.packed(name, staged.layers, frozenset())
    if held.rows != packed.rows:
        yield from _of_frames(held, packed)
    elif (held.digest, held.unpacked_bytes) != (packed.digest, packed.unpacked_bytes):
        yield "its packed frame is another one"


def _of_frames(held: PackedLayer, packed: PackedLayer) -> Iterator[str]:
    before, after = _by_path(held), _by_path(packed)
    for path in sorted(before.keys() | after.keys()):
        if before.get(path) != after.get(path):
            yield f"/{path.text} is another in the packed frame"


def _by_path(layer: PackedLayer) -> dict[TreePath, LayerLine]:
    return {row.line.path: row for row in layer.lines}
