"""Draw what a benchmark measured as an SVG file: one panel for each row that others are held against.

matplotlib draws (docs/decisions/0047). The same figures give the same bytes: no date, no random names, text as text.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

_PLAIN, _HELD = "#4c72b0", "#8c8c8c"


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """A row: its name, the row that it is held against, and the processor seconds of each round."""

    name: str
    against: str
    seconds: Sequence[float]


def draw(file: Path, title: str, bars: Sequence[Bar]) -> None:
    """Write the medians of `bars` to `file`, with the least and the most as lines, and the ratios as text."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams |= {"svg.hashsalt": "cosmos", "svg.fonttype": "none", "font.size": 9}
    from matplotlib import pyplot

    panels = {one.against: [bar for bar in bars if bar.against == one.against] for one in bars}
    heights = [len(rows) + 1 for rows in panels.values()]
    figure, axes = pyplot.subplots(
        len(panels), figsize=(8, 0.35 * sum(heights) + 0.8), gridspec_kw={"height_ratios": heights}, squeeze=False
    )
    figure.suptitle(f"Processor seconds: {title}")
    for (against, rows), axis in zip(panels.items(), axes[:, 0], strict=True):
        held = next((median(row.seconds) for row in rows if row.name == against), None)
        for place, row in enumerate(rows):
            middle = median(row.seconds)
            spread = [[middle - min(row.seconds)], [max(row.seconds) - middle]]
            axis.barh(place, middle, xerr=spread, color=_HELD if row.name == against else _PLAIN, capsize=2)
            text = f" {middle:.1f} s" + (f", {middle / held:.2f} x" if held and row.name != against else "")
            axis.text(max(row.seconds), place, text, va="center")
        axis.set_yticks(range(len(rows)), [row.name for row in rows])
        axis.invert_yaxis()
        axis.margins(x=0.25)
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
    figure.tight_layout()
    written = io.StringIO()
    figure.savefig(written, format="svg", metadata={"Date": None})
    pyplot.close(figure)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{line.rstrip()}\n" for line in written.getvalue().splitlines()))
