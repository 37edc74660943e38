"""Where the marks of a chart stand; templates draw them as SVG.

Across in per cent of the width, so that a chart is as wide as its page and its letters stay as large as others; down in
pixels. All of it as text with a point, since a template would write numbers with the reader's comma.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from calls.figures import Tally

TOP, BASE = 8, 168  # of the plot, in pixels
MOST_LINES, MOST_LABELS = 4, 5


@dataclass(frozen=True, slots=True)
class Bar:
    """What a chart shows of some days, or of an hour of one day, and where these calls are listed."""

    name: str
    short: str
    tally: Tally
    calls_link: str
    talked_link: str


@dataclass(frozen=True, slots=True)
class Column:
    """A bar's place: all its calls, and the part that were conversations. `label` is empty where there is no room."""

    bar: Bar
    x: str
    width: str
    y: str
    height: str
    part_y: str
    part_height: str
    middle: str
    label: str


@dataclass(frozen=True, slots=True)
class Line:
    """A line across, at a round number."""

    value: int
    y: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A column chart."""

    columns: list[Column]
    lines: list[Line]


def column_chart(bars: Sequence[Bar]) -> Chart:
    """Place the bars side by side."""
    step = _step(max((bar.tally.calls for bar in bars), default=0))
    top = step * max(ceil(max((bar.tally.calls for bar in bars), default=0) / step), 1)
    slot = 100 / max(len(bars), 1)
    every = ceil(len(bars) / MOST_LABELS)

    def down(value: int) -> float:
        return BASE - (BASE - TOP) * value / top

    def column(place: int, bar: Bar) -> Column:
        width = min(slot * 0.76, 8)
        middle = slot * (place + 0.5)
        y, part_y = down(bar.tally.calls), down(bar.tally.conversations)
        return Column(
            bar=bar,
            x=f"{middle - width / 2:.2f}%",
            width=f"{width:.2f}%",
            y=f"{y:.1f}",
            height=f"{BASE - y:.1f}",
            part_y=f"{part_y:.1f}",
            part_height=f"{BASE - part_y:.1f}",
            middle=f"{middle:.2f}%",
            label=bar.short if place % every == every // 2 else "",
        )

    lines = [Line(value, f"{down(value):.1f}") for value in range(0, top + 1, step)]
    return Chart([column(place, bar) for place, bar in enumerate(bars)], lines)


def _step(most: int) -> int:
    """The smallest round number of which a few reach `most`."""
    size = 1
    while True:
        for step in (size, 2 * size, 5 * size):
            if step * MOST_LINES >= most:
                return step
        size *= 10


def share(part: int, whole: int) -> str:
    """How long a bar is, as an attribute of SVG."""
    return f"{100 * part / whole if whole else 0:.2f}%"
