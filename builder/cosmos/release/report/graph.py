"""The dependency graph of a small image, drawn in layers: each star is right of all stars that need it.

The layer of a star is the length of the longest chain to it. Within a layer, a star stands near those that need it (the
barycentre heuristic of Sugiyama, Tagawa and Toda 1981, swept once from the left). A lock lists each star after what it
depends on. A large graph is no help to the eye: above `_MOST_STARS` there is only the tree.
"""

from __future__ import annotations

from typing import Final

from cosmos.model.lock import Lock
from cosmos.model.names import StarName
from cosmos.records import dataclass
from cosmos.resolve.chains import Wants

_MOST_STARS: Final = 40
_MOST_EDGES: Final = 160
_CHARACTER: Final = 7.5  # the width of one at the label's size
_BOX_HEIGHT: Final = 24
_PADDING: Final = 16
_GAP: Final = 60  # between two layers
_ROW: Final = 34


@dataclass(frozen=True, kw_only=True, slots=True)
class GraphNode:
    """A star with the place of its box."""

    name: StarName
    is_asked: bool
    x: float
    y: float
    width: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Graph:
    """The drawing: boxes, and lines as the `d` of an SVG path."""

    nodes: tuple[GraphNode, ...]
    lines: tuple[str, ...]
    width: float
    height: float
    box_height: int = _BOX_HEIGHT


def graph(lock: Lock, wants: Wants) -> Graph | None:
    """Return the drawing of the lock's stars; None if they are too many, or none needs another."""
    edges = [(above, star.name) for star in lock.stars for above in wants.above[star.name]]
    if not edges or len(lock.stars) > _MOST_STARS or len(edges) > _MOST_EDGES:
        return None
    nodes = _placed(_layers(lock, wants), wants)
    lines = tuple(_line(nodes[above], nodes[below]) for above, below in sorted(edges))
    return Graph(
        nodes=tuple(nodes.values()),
        lines=lines,
        width=max(node.x + node.width for node in nodes.values()) + 1,
        height=max(node.y for node in nodes.values()) + _BOX_HEIGHT + 1,
    )


def _layers(lock: Lock, wants: Wants) -> list[list[StarName]]:
    """Return the stars by the length of the longest chain to each, within a layer near those that need them."""
    depth: dict[StarName, int] = {}
    for star in reversed(lock.stars):
        depth[star.name] = max((depth.get(above, -1) + 1 for above in wants.above[star.name]), default=0)
    layers: list[list[StarName]] = [[] for _ in range(max(depth.values()) + 1)]
    for name in sorted(depth):
        layers[depth[name]].append(name)
    place: dict[StarName, float] = {}
    for layer in layers:
        layer.sort(key=lambda name: (_mean([place[above] for above in wants.above[name] if above in place]), name))
        place |= {name: row / len(layer) for row, name in enumerate(layer)}
    return layers


def _mean(places: list[float]) -> float:
    return sum(places) / len(places) if places else 0.0


def _placed(layers: list[list[StarName]], wants: Wants) -> dict[StarName, GraphNode]:
    tallest = max(map(len, layers))
    nodes: dict[StarName, GraphNode] = {}
    left = 1.0
    for layer in layers:
        width = max(map(len, layer)) * _CHARACTER + _PADDING
        top = (tallest - len(layer)) * _ROW / 2 + 1
        for row, name in enumerate(layer):
            asked = bool(wants.asked_by[name])
            nodes[name] = GraphNode(name=name, is_asked=asked, x=left, y=top + row * _ROW, width=width)
        left += width + _GAP
    return nodes


def _line(above: GraphNode, below: GraphNode) -> str:
    """Return a curve from the right of one box to the left of another."""
    x1, y1 = above.x + above.width, above.y + _BOX_HEIGHT / 2
    x2, y2 = below.x, below.y + _BOX_HEIGHT / 2
    bend = (x2 - x1) / 2 if x2 - x1 <= _GAP else _GAP / 2
    return f"M{x1:.1f} {y1:.1f}C{x1 + bend:.1f} {y1:.1f} {x2 - bend:.1f} {y2:.1f} {x2:.1f} {y2:.1f}"
