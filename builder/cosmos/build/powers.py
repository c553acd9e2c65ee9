"""What a star may do in this image: decided by the operator's `[policy]`, never by the star.

    run      run programs at installation (in a sandbox of its own)
    setuid   ship files that run with their owner's or group's rights
    setcap   ship files with capabilities
    mknod    make devices
    chown    give files to others than root
    outside  lay anything outside /usr and /etc

A layer is judged by what it holds and by its receipt, so that it makes no difference how it came about, nor whether it
was made now or is from the store.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cosmos.build.layers import StarLayer
from cosmos.errors import ScriptFailed
from cosmos.model.image import Policy, Power
from cosmos.model.names import StarName
from cosmos.tree.entry import CAPABILITY
from cosmos.tree.manifest import ManifestLine

_INSIDE = frozenset({b"usr", b"etc"})


def demand_allowed(policy: Policy, layers: Mapping[StarName, StarLayer]) -> None:
    """Refuse stars that did what they are not named for; raises `ScriptFailed`, which says the line to add."""
    for name, layer in layers.items():
        for power, what in _used(layer):
            if name not in policy.allowed.get(power, ()):
                named = ", ".join(f'"{star}"' for star in (*policy.allowed.get(power, ()), name))
                raise ScriptFailed(
                    str(name),
                    f"{what}, and the image's policy does not allow that",
                    hint=f"if it may, say so in image.toml: [policy] {power} = [{named}]",
                )


def _used(layer: StarLayer) -> Iterator[tuple[Power, str]]:
    """Yield each power that the layer needed, and what for."""
    events = layer.receipt.get("events") if isinstance(layer.receipt, dict) else None
    for event in events if isinstance(events, list) else ():
        if isinstance(event, dict) and event.get("do") == "run":
            yield "run", "its script runs a program"
    for line in layer.lines:
        yield from _needed(line)


def _needed(line: ManifestLine) -> Iterator[tuple[Power, str]]:
    shown = f"/{line.path.text}"
    if line.kind == "file" and line.mode & 0o6000:
        yield "setuid", f"{shown} runs with its owner's or group's rights ({line.mode:04o})"
    if any(attribute == CAPABILITY for attribute, _ in line.xattrs):
        yield "setcap", f"{shown} has capabilities"
    if line.kind in ("char", "block"):
        yield "mknod", f"{shown} is a device"
    if (line.uid, line.gid) != (0, 0):
        yield "chown", f"{shown} belongs to {line.uid}:{line.gid}"
    plain = line.kind == "dir" and (line.mode, line.uid, line.gid) == (0o755, 0, 0)
    if line.path.split(b"/")[0] not in _INSIDE and not plain:
        yield "outside", f"/{line.path.text} lies outside /usr and /etc"
