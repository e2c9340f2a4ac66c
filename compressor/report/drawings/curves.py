"""What is shown of a training: a figure by epoch, or a sentence where there was one epoch; and what its loss was."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from compressor.report.contract.report import Report
from compressor.report.contract.rows import ModelRow
from compressor.report.drawings.figure import Figure
from compressor.report.judgement import words


@dataclass(frozen=True)
class Training:
    """One step's training: a figure of its curves, or None and the numbers within `text`."""

    figure: Figure | None
    text: str


def trainings(report: Report) -> Iterator[Training]:
    """The training of each step that tells of one, in the order of the file."""
    for place, row in enumerate(report.models):
        curves = row.curves or ()
        loss = str(report.details.notes.get(row.step, {}).get("loss", ""))
        taught = row.teacher is not None and bool(loss)
        panels = list(_panels(curves, taught, report))
        if not panels:
            continue
        text = f"train loss: {_formula(loss)}; validation loss: that of the labels alone" if taught else ""
        if len(curves) > 1:
            names = ", ".join(line["name"] for panel in panels for line in panel["lines"])
            alt = f"Training of {row.step}: {names} by epoch"
            yield Training(Figure("curves", "curves", alt, {"title": row.step, "panels": panels}, str(place)), text)
        else:
            yield Training(None, f"{_sentence(row, panels)}{f' ({text})' if text else ''}")


def _panels(curves: Sequence[Mapping[str, Any]], taught: bool, report: Report) -> Iterator[dict[str, Any]]:
    """Lines by epoch: the losses, on axes of their own where a teacher is in only one of them; then each metric."""
    names = list(dict.fromkeys(name for point in curves for name, value in point.items() if _is_number(value)))
    losses = [name for name in names if name.endswith("loss")]
    metrics = [name for name in names if name.startswith("validation_") and name not in losses]
    for group in [[name] for name in losses] if taught else [losses]:
        if group:
            title = words.label(group[0]) if len(group) == 1 else "loss"
            yield {"title": title, "most": None, "lines": [_line(name, curves) for name in group]}
    for name in metrics:
        share = words.unit(report, name.removeprefix("validation_")) == "share"
        title = f"{words.label(name)}{', %' if share else ''}"
        line = _line(name, curves, 100 if share else 1)
        yield {"title": title, "most": 100 if share else None, "lines": [line]}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def _line(name: str, curves: Sequence[Mapping[str, Any]], scale: int = 1) -> dict[str, Any]:
    points = [
        [point.get("epoch", place + 1), scale * point[name]]
        for place, point in enumerate(curves)
        if _is_number(point.get(name))
    ]
    return {"name": words.label(name), "points": points}


def _sentence(row: ModelRow, panels: Sequence[Mapping[str, Any]]) -> str:
    """The numbers of a training of one epoch."""
    told = []
    for panel in panels:
        for line in panel["lines"]:
            value = line["points"][0][1]
            shown = words.significant(value) if panel["most"] is None else f"{value:.2f}{words.FIXED}%"
            told.append(f"{line['name']} {shown}")
    return f"{row.step} was trained for one epoch: {', '.join(told)}"


def _formula(loss: str) -> str:
    """A loss as the step told it, with the signs of mathematics."""
    return loss.replace(" * ", " · ").replace("^2", "²").replace("||", "‖")
