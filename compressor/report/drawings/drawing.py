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
from typing import TYPE_CHECKING, Any, Literal

from compressor.report.drawings.labels import place_names

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


def end_at(axes: Axes, side: Literal["x", "y"], most: float | None) -> None:
    """No axis goes on beyond the largest value there is, 100 for shares; the room for names stays."""
    if most is None:
        return
    axis, spine = (axes.xaxis, "bottom") if side == "x" else (axes.yaxis, "left")
    low, high = sorted(axis.get_view_interval())
    axis.set_ticks([tick for tick in axis.get_majorticklocs() if low <= tick <= min(high, most)])
    axes.spines[spine].set_bounds(low, min(high, most))


def name_points(axes: Axes, points: Sequence[Mapping[str, Any]]) -> None:
    """Each point's name beside it, with a line to it where others are as near."""
    axes.autoscale_view()  # else the places are those of empty axes
    pixel = axes.figure.dpi / 72

    def spot(x: float, y: float) -> tuple[float, float]:
        across, up = axes.transData.transform((x, y)) / pixel
        return float(across), float(up)

    spots = [spot(point["x"], point["y"]) for point in points]
    lines = []
    for point, (x, y) in zip(points, spots, strict=True):
        for low, high in [point["x_range"]] if None not in point["x_range"] else []:
            lines.append((spot(low, point["y"])[0], y - 1, spot(high, point["y"])[0], y + 1))
        for low, high in [point["y_range"]] if None not in point["y_range"] else []:
            lines.append((x - 1, spot(point["x"], low)[1], x + 1, spot(point["x"], high)[1]))
    room = axes.bbox.x0 / pixel, axes.bbox.y0 / pixel, axes.bbox.x1 / pixel + 4, axes.bbox.y1 / pixel
    names = [short(point["name"]) for point in points]
    for point, name, (x, y), place in zip(points, names, spots, place_names(spots, names, room, lines), strict=True):
        at = (point["x"], point["y"])
        weight = "bold" if point["colour"] == "ship" else "normal"
        offset = (place.box[0] - x, place.box[1] - y)
        axes.annotate(name, at, offset, textcoords="offset points", fontsize=8.5, fontweight=weight)
        if place.start is not None:
            line = {"arrowstyle": "-", "color": MUTED, "linewidth": 0.7, "shrinkA": 0, "shrinkB": 0}
            start = (place.start[0] - x, place.start[1] - y)
            axes.annotate("", at, start, textcoords="offset points", arrowprops=line)
