"""Draw what a benchmark measured as an SVG file: one panel for each row that others are held against.

matplotlib draws (docs/decisions/0047). The same figures give the same bytes: no date, no random names, text as text.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_OURS, _OTHERS, _HELD = "#4c72b0", "#d8b365", "#8c8c8c"
_MOST_RATIO = 6  # of a bar to the one that it is held against; a longer one is cut off


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """A row: its name, the row that it is held against or the title of its panel, and the value of each round.

    `is_ours`: it is the work of Cosmos, and not of another program.
    """

    name: str
    against: str
    values: Sequence[float]
    is_ours: bool = True


def draw(file: Path, title: str, bars: Sequence[Bar], unit: str = "s") -> None:
    """Write the medians of `bars` to `file`, with the least and the most as lines, and the ratios as text.

    A bar that is far longer than the one that it is held against is cut off, and hatched.
    """
    from matplotlib import pyplot

    _settle()
    panels = {one.against: _panel(one.against, bars) for one in bars if one.name != one.against}
    heights = [len(rows) + 1 for rows in panels.values()]
    figure, axes = pyplot.subplots(
        len(panels), figsize=(8, 0.35 * sum(heights) + 0.8), gridspec_kw={"height_ratios": heights}, squeeze=False
    )
    figure.suptitle(title)
    for (against, rows), axis in zip(panels.items(), axes[:, 0], strict=True):
        held = next((median(row.values) for row in rows if row.name == against), None)
        for place, row in enumerate(rows):
            middle = median(row.values)
            most = held * _MOST_RATIO if held else middle
            color = _HELD if row.name == against else _OURS if row.is_ours else _OTHERS
            if middle > most:
                axis.barh(place, most, color=color, hatch="//", edgecolor="white")
            else:
                spread = [[middle - min(row.values)], [max(row.values) - middle]]
                axis.barh(place, middle, xerr=spread, color=color, capsize=2)
            text = f"{middle:.1f} {unit}" + (f", {middle / held:.2f} x" if held and row.name != against else "")
            axis.annotate(
                text,
                (most if middle > most else max(row.values), place),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
            )
        if held is None:
            axis.set_title(against, loc="left", fontsize=9)
        axis.set_yticks(range(len(rows)), [row.name for row in rows])
        axis.invert_yaxis()
        axis.margins(x=0.25)
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
    _write(figure, file)


def _panel(against: str, bars: Sequence[Bar]) -> list[Bar]:
    """Return the row `against`, if there is one, and those that are held against it."""
    held = [bar for bar in bars if bar.name == against]
    return [*held, *(bar for bar in bars if bar.against == against and bar.name != against)]


def draw_lines(file: Path, title: str, sizes: Sequence[int], rows: Mapping[str, Sequence[float]]) -> None:
    """Write to `file` how the seconds of each row grow with the size, beside a line of what grows as the size does."""
    from matplotlib import pyplot

    _settle()
    figure, axis = pyplot.subplots(figsize=(8, 5))
    figure.suptitle(title)
    for place, (name, seconds) in enumerate(rows.items()):
        axis.plot(sizes, seconds, marker="os^vD"[place % 5], markersize=4, linewidth=1, label=name)
    last = max(seconds[-1] for seconds in rows.values())
    axis.plot(sizes, [last * size / sizes[-1] for size in sizes], color=_HELD, linestyle=":", label="linear")
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axis.yaxis.set_major_formatter("{x:g}")
    axis.set_xlabel("stars")
    axis.grid(visible=True, linewidth=0.3)
    axis.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    _write(figure, file)


def _settle() -> None:
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams |= {"svg.hashsalt": "cosmos", "svg.fonttype": "none", "font.size": 9}


def _write(figure: Figure, file: Path) -> None:
    from matplotlib import pyplot

    figure.tight_layout()
    written = io.StringIO()
    figure.savefig(written, format="svg", metadata={"Date": None})
    pyplot.close(figure)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{line.rstrip()}\n" for line in written.getvalue().splitlines()))
