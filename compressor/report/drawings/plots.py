"""The drawings themselves, one function a kind. Importing this module is cheap; drawing loads matplotlib."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from compressor.report.drawings.drawing import (
    BAD,
    FLOAT,
    GRID,
    INK,
    INT8,
    MUTED,
    PAPER,
    SHIP,
    WIDE,
    canvas,
    end_at,
    name_points,
    short,
    style,
    svg,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Data = Mapping[str, Any]
_COLOURS = {"float": FLOAT, "int8": INT8, "ship": SHIP, "integer": SHIP, "other": GRID}
_LINES = (FLOAT, INT8, SHIP, BAD)


def draw(kind: str, name: str, alt: str, data: Data) -> str:
    """One figure as an `<svg>` element; `name` keeps its ids apart from those of other figures."""
    with style(name):
        return svg(_KINDS[kind](data), alt)


def _rows(axes: Axes, names: Sequence[str], bold: Sequence[bool] = ()) -> None:
    """One named row an entry, the first on top, with faint lines to guide the eye."""
    axes.set_yticks(range(len(names)), [short(name) for name in names])
    for text, heavy in zip(axes.get_yticklabels(), bold, strict=False):
        text.set_fontweight("bold" if heavy else "normal")
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.spines["left"].set_visible(False)


def _height(rows: int, room: float) -> float:
    return room + 0.245 * rows


def _left(entries: Sequence[Data], more: int = 0) -> float:
    """Inches for the names on the left; more: letters beside each name."""
    longest = max(len(short(entry["name"])) for entry in entries) + more
    return 0.12 + 0.078 * longest


def _whiskers(entry: Data) -> list[list[float]]:
    value = entry["value"]
    low = value if entry.get("low") is None else entry["low"]
    high = value if entry.get("high") is None else entry["high"]
    return [[max(0.0, value - low)], [max(0.0, high - value)]]


def _dots(data: Data) -> Figure:
    """Values with their intervals, a row each."""
    entries = data["entries"]
    figure, (axes,) = canvas(_height(len(entries), 0.6), left=_left(entries))
    for place, entry in enumerate(entries):
        colour = _COLOURS[entry["colour"]]
        axes.errorbar(
            entry["value"],
            place,
            xerr=_whiskers(entry),
            fmt="o",
            color=colour,
            markersize=5,
            elinewidth=1.6,
            capsize=2.5,
        )
    ends = [end for entry in entries for end in (entry["low"], entry["high"])]
    room = max(max(ends) - min(ends), 1e-9)
    axes.set_xlim(min(ends) - 0.06 * room, max(ends) + 0.34 * room)
    end_at(axes, "x", data["most"])
    for place, entry in enumerate(entries):
        axes.text(entry["high"] + 0.04 * room, place, entry["text"], va="center", fontsize=8.5)
    axes.set_title(data["title"])
    axes.grid(axis="x")
    _rows(axes, [entry["name"] for entry in entries], [entry["colour"] == "ship" for entry in entries])
    return figure


def _bars(data: Data) -> Figure:
    """Amounts from zero, a row each, with the interval where there is one."""
    entries = data["entries"]
    figure, (axes,) = canvas(_height(len(entries), 0.35), left=_left(entries), below=0.05)
    longest = max(entry["high"] or entry["value"] for entry in entries) or 1.0
    for place, entry in enumerate(entries):
        axes.barh(place, entry["value"], height=0.62, color=_COLOURS[entry["colour"]])
        if entry["high"] is not None:
            axes.errorbar(
                entry["value"], place, xerr=_whiskers(entry), fmt="none", ecolor=INK, elinewidth=1.0, capsize=2
            )
        axes.text((entry["high"] or entry["value"]) + 0.02 * longest, place, entry["text"], va="center", fontsize=8.5)
    axes.set_xlim(0, 1.22 * longest)
    axes.set_title(data["title"])
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    _rows(axes, [entry["name"] for entry in entries], [entry["colour"] == "ship" for entry in entries])
    axes.axvline(0, color=GRID, linewidth=0.8)
    return figure


def _scatter(data: Data) -> Figure:
    """Quality against latency."""
    points = data["points"]
    figure, (axes,) = canvas(3.3, width=WIDE, left=0.45, below=0.45)
    for point in points:
        colour = _COLOURS[point["colour"]]
        x, y = (
            {"value": point[axis], "low": low, "high": high} for axis in "xy" for low, high in [point[f"{axis}_range"]]
        )
        axes.errorbar(
            point["x"],
            point["y"],
            xerr=_whiskers(x),
            yerr=_whiskers(y),
            fmt="none",
            ecolor=colour,
            elinewidth=1.1,
            alpha=0.55,
        )
        size = 70 if point["colour"] == "ship" else 34
        axes.scatter(point["x"], point["y"], s=size, color=colour, edgecolors=PAPER, linewidths=0.8, zorder=3)
    times = [point["x"] for point in points]
    if max(times) > 8 * min(times):
        axes.set_xscale("log")
        _plain_log_ticks(axes, min(times), max(times))
    axes.margins(x=0.14, y=0.12)
    axes.set_xlabel(data["x"])
    axes.set_title(data["y"])
    end_at(axes, "y", data["most"])
    axes.grid()
    name_points(axes, points)
    return figure


def _plain_log_ticks(axes: Axes, low: float, high: float) -> None:
    """Ticks at 1, 2, 5 of each decade, written as plain numbers."""
    decades = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1)
    ticks = [digit * 10.0**decade for decade in decades for digit in (1, 2, 5)]
    kept = [tick for tick in ticks if low / 1.5 <= tick <= high * 1.5]
    axes.set_xticks(kept, [f"{tick:g}" for tick in kept])
    axes.set_xticks([], minor=True)


def _distribution(data: Data) -> Figure:
    """Each round's time relative to its model's median; those of a busy machine are hollow, far ones on the edge."""
    entries, busy = data["entries"], data["busy"]
    figure, (axes,) = canvas(_height(len(entries), 0.85), width=WIDE, left=_left(entries), below=0.45)
    furthest = 0.0
    for place, entry in enumerate(entries):
        times = entry["times"]
        middle = sorted(times)[len(times) // 2] or 1.0
        relative = [100 * (time / middle - 1) for time in times]
        furthest = max(furthest, *(abs(value) for value in relative))
        colour = _COLOURS[entry["colour"]]
        for far, hollow in ((False, False), (False, True), (True, False), (True, True)):
            points = [
                (min(100.0, value), place + 0.24 * math.sin(2.4 * number))
                for number, value in enumerate(relative)
                if (value > 100) == far and (number < len(busy) and bool(busy[number])) == hollow
            ]
            inside = "none" if hollow else colour
            xs, ys = [x for x, _ in points], [y for _, y in points]
            axes.plot(xs, ys, ">" if far else "o", ms=3.4, mew=0.8, mfc=inside, mec=colour, alpha=0.75)
    edge = min(105.0, max(2.0, 1.08 * furthest))
    axes.set_xlim(-edge, edge)
    axes.axvline(0, color=MUTED, linewidth=0.8)
    axes.set_title("rounds, % from the model's median")
    axes.grid(axis="x")
    if any(busy):
        axes.set_xlabel("hollow: the machine was busy")
    _rows(axes, [entry["name"] for entry in entries], [entry["colour"] == "ship" for entry in entries])
    return figure


def _curves(data: Data) -> Figure:
    """Losses and validation metrics by epoch."""
    panels = data["panels"]
    figure, all_axes = canvas(0.45 + 1.3 * len(panels), rows=len(panels), below=0.45)
    for axes, panel in zip(all_axes, panels, strict=True):
        for line, colour in zip(panel["lines"], _LINES * 4, strict=False):
            epochs, values = zip(*line["points"], strict=True)
            dot = "o" if len(epochs) == 1 else None
            axes.plot(epochs, values, color=colour, linewidth=1.6, marker=dot, markersize=4, label=line["name"])
        if len(panel["lines"]) > 1:
            axes.legend(labelcolor=INK)
        end_at(axes, "y", panel["most"])
        axes.set_title(panel["title"] if panel is not panels[0] else f"{short(data['title'])}: {panel['title']}")
        axes.grid(axis="y")
    all_axes[-1].set_xlabel("epoch")
    from matplotlib.ticker import MaxNLocator

    all_axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    return figure


def _per_class(data: Data) -> Figure:
    """Share of right answers by class: what ships with its interval, the baseline as a tick."""
    entries = data["entries"]
    figure, (axes,) = canvas(_height(len(entries), 0.85), width=WIDE, left=_left(entries, 7), below=0.45)
    for place, entry in enumerate(entries):
        percent = {key: None if entry[key] is None else 100 * entry[key] for key in ("value", "low", "high")}
        axes.errorbar(
            100 * entry["value"], place, xerr=_whiskers(percent), fmt="o", color=SHIP, markersize=4.5, elinewidth=1.3
        )
        if entry["before"] is not None:
            axes.plot(100 * entry["before"], place, "|", color=INK, markersize=9, markeredgewidth=1.6)
    end_at(axes, "x", 100)
    axes.set_title("right answers by class, %")
    tick = f"   | {data['baseline']}" if data["baseline"] else ""
    axes.set_xlabel(f"● {data['name']} (95 % interval){tick}")
    axes.grid(axis="x")
    _rows(axes, [f"{short(entry['name'])} ({entry['n']:,})" for entry in entries])
    return figure


def _confusion(data: Data) -> Figure:
    """Wrong answers of a task with many classes: a point for each pair of classes."""
    figure, (axes,) = canvas(4.6, width=WIDE, below=0.45)
    most = max((cell[2] for cell in data["cells"]), default=1)
    for target, answer, cell in data["cells"]:
        axes.plot(
            answer, target, "o", color=BAD, markersize=2 + 5 * math.sqrt(cell / most), alpha=0.7, markeredgewidth=0
        )
    axes.plot([0, data["classes"] - 1], [0, data["classes"] - 1], color=GRID, linewidth=1)
    axes.set_xlim(-1, data["classes"])
    axes.set_ylim(data["classes"], -1)
    axes.set_xlabel("answer (number of the class)")
    axes.set_title("wrong answers: true class downwards")
    return figure


def _operators(data: Data) -> Figure:
    """How often each operator occurs in the graph that onnxruntime runs."""
    entries = data["entries"]
    figure, (axes,) = canvas(_height(len(entries), 0.35), left=_left(entries), below=0.05)
    most = max(entry["value"] for entry in entries)
    for place, entry in enumerate(entries):
        colour = MUTED if entry["colour"] == "other" else _COLOURS[entry["colour"]]
        axes.barh(place, entry["value"], height=0.62, color=colour)
        axes.text(entry["value"] + 0.02 * most, place, f"{entry['value']:,}", va="center", fontsize=8.5)
    axes.set_xlim(0, 1.15 * most)
    axes.set_title(data["title"])
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    _rows(axes, [entry["name"] for entry in entries])
    return figure


_KINDS: dict[str, Callable[[Data], Figure]] = {
    "dots": _dots,
    "bars": _bars,
    "scatter": _scatter,
    "distribution": _distribution,
    "curves": _curves,
    "per_class": _per_class,
    "confusion": _confusion,
    "operators": _operators,
}
