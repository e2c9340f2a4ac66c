"""One way to draw for all figures: matplotlib to an SVG that takes its colours and its font from the page.

Colours are drawn with stand-ins and written as CSS variables, so that one figure suits light and dark. The same data
gives the same bytes: no date, no random names.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, GRID = "#010101", "#020202", "#030303"
FLOAT, INT8, SHIP = "#040404", "#050505", "#060606"
GOOD, BAD, PAPER = "#070707", "#080808", "#090909"
_VARIABLES = {
    INK: "ink", MUTED: "muted", GRID: "grid", FLOAT: "float", INT8: "int8", SHIP: "accent", GOOD: "good", BAD: "bad",
    PAPER: "paper",
}  # fmt: skip

NARROW, WIDE = 4.3, 4.9
"""Inches of a figure, one of three or one of two beside each other; both are readable on a phone."""

_LONGEST = 20
_ABOVE, _BETWEEN = 0.28, 0.36
"""Inches above the first axes, for its title, and between two."""

_STYLE: Any = {
    "svg.fonttype": "none",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlecolor": INK,
    "axes.labelsize": 9,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": GRID,
    "axes.linewidth": 0.8,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "figure.facecolor": "none",
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": INK,
    "xtick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.major.size": 0,
    "ytick.minor.size": 0,
    "text.parse_math": False,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
}


@contextmanager
def style(name: str) -> Iterator[None]:
    """Matplotlib's own defaults and ours, whatever the user's matplotlibrc says; `name` salts the ids of one figure."""
    import logging

    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({**_STYLE, "svg.hashsalt": name})
        yield


def canvas(
    height: float, *, rows: int = 1, width: float = NARROW, left: float = 0.5, below: float = 0.3
) -> tuple[Figure, list[Axes]]:
    """A figure so many inches high and wide, with its axes from top to bottom. left, below: inches for labels.

    The margins are given, since matplotlib's search for them takes half of the time of a drawing.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    axes = figure.subplots(rows, 1, squeeze=False, sharex=True)
    each = (height - _ABOVE - below - (rows - 1) * _BETWEEN) / rows
    figure.subplots_adjust(
        left=left / width,
        right=1 - 0.08 / width,
        top=1 - _ABOVE / height,
        bottom=below / height,
        hspace=_BETWEEN / each,
    )
    return figure, list(axes[:, 0])


def svg(figure: Figure, alt: str) -> str:
    """The figure as an `<svg>` element to set into a page. alt: what it shows, for those who cannot see it."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    file = io.StringIO()
    metadata = {"Date": None, "Creator": None, "Format": None, "Type": None}
    # Not savefig, which draws everything twice.
    FigureCanvasSVG(figure).print_svg(file, metadata=metadata)  # type: ignore[no-untyped-call]
    text = file.getvalue()
    text = text[text.index("<svg") :].strip()
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.S)
    text = re.sub(r"<!--.*?-->\s*", "", text, flags=re.S)
    # Groups are numbered alike in every figure; only clip paths and markers are referred to. The style element
    # would reach the whole page.
    text = re.sub(r'<g id="[^"]*"', "<g", text)
    text = re.sub(r"<style.*?</style>\s*", "", text, flags=re.S)
    text = re.sub(r" font-family: [^;\"]*;", "", text)
    text = re.sub(r' transform="rotate\(-0 [^"]*"', "", text)
    text = re.sub(r">\s+<", "><", text)
    for stand_in, variable in _VARIABLES.items():
        text = text.replace(stand_in, f"var(--{variable})")
    view = re.search(r'viewBox="([^"]+)"', text)
    head = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" role="img" '
        f'viewBox="{view.group(1) if view else ""}" stroke-linejoin="round" aria-label="{escape(alt)}">'
    )
    return head + text[text.index(">") + 1 :]


def short(name: str) -> str:
    """A name that leaves room for the drawing."""
    return name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…"


def name_points(axes: Axes, points: Sequence[Mapping[str, Any]]) -> None:
    """Each point's name beside it: the first of eight places that is free, so that names do not lie on each other."""
    axes.autoscale_view()  # else the places are those of empty axes
    pixel = axes.figure.dpi / 72
    spots = [axes.transData.transform((point["x"], point["y"])) / pixel for point in points]
    taken = [(x - 6, y - 6, x + 6, y + 6) for x, y in spots]
    left, right = axes.bbox.x0 / pixel, axes.bbox.x1 / pixel
    for point, (x, y) in zip(points, spots, strict=True):
        name = short(point["name"])
        width, height = 5.2 * len(name), 9.5
        places = [
            (7, 4),
            (7, -13),
            (-7 - width, 4),
            (-7 - width, -13),
            (-width / 2, 9),
            (-width / 2, -19),
            (7, 15),
            (7, -24),
        ]
        boxes = [(x + dx, y + dy, x + dx + width, y + dy + height) for dx, dy in places]
        free = [
            place
            for place, box in enumerate(boxes)
            if box[0] >= left and box[2] <= right + 4 and not any(_overlap(box, other) for other in taken)
        ]
        chosen = free[0] if free else 0
        taken.append(boxes[chosen])
        weight = "bold" if point["look"] == "ship" else "normal"
        axes.annotate(
            name,
            (point["x"], point["y"]),
            xytext=places[chosen],
            textcoords="offset points",
            fontsize=8.5,
            fontweight=weight,
        )


def _overlap(one: Sequence[float], other: Sequence[float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
