"""The page's tables of classes: what is taken for what, and every class, the weakest first and folded."""

from __future__ import annotations

from statistics import median
from typing import Any

from compressor.report.contract import classes
from compressor.report.contract.details import ClassQuality
from compressor.report.contract.report import Report
from compressor.report.drawings.figures import LARGEST_TABLE, MOST_CLASSES
from compressor.report.judgement import words

_PAIRS = 12
_FOLD, _MOST_ROWS = 100, 2_000
_LONGEST = 60


def confusion(report: Report) -> dict[str, Any] | None:
    """The table where it is small enough to read, and the pairs most often confused; None where nothing is known."""
    found = classes.confusions(report.details, report.subject)
    if found is None:
        return None
    names, wrong = found
    small = report.details.confusion.get(report.subject or "")
    table = small.counts if small is not None and len(names) <= LARGEST_TABLE else ()
    rows = [
        {
            "name": names[target],
            "cells": [
                {"count": cell, "share": round(100 * cell / max(1, sum(row))), "right": answer == target}
                for answer, cell in enumerate(row)
            ],
        }
        for target, row in enumerate(table)
    ]
    cells = zip(wrong.targets, wrong.answers, wrong.counts, strict=True)
    pairs = [
        {"count": count, "target": shown(names[target]), "answer": shown(names[answer])}
        for (target, answer, count), _ in zip(cells, range(_PAIRS), strict=False)
    ]
    samples, spread = sum(wrong.counts) + wrong.left_out_samples, len(wrong.counts) + wrong.left_out_pairs
    told = f"{samples:,} wrong answers of {report.subject}, over {spread:,} pairs of a class and what it is taken for."
    return {"labels": names if rows else (), "rows": rows, "pairs": pairs, "told": told}


def every_class(report: Report) -> dict[str, Any] | None:
    """All classes in folds of a hundred, the weakest first, where the figure does not show each of them; else None."""
    ship = classes.of_step(report.details, report.subject)
    if len(ship) <= MOST_CLASSES:
        return None
    known = classes.weakest_first([one for one in ship if one.value is not None])
    baseline = report.verdict.baseline if report.verdict.baseline != report.subject else None
    before = {one.name: one.value for one in classes.of_step(report.details, baseline)}
    taken = _taken(report)
    listed = known[:_MOST_ROWS]
    folds = [listed[start : start + _FOLD] for start in range(0, len(listed), _FOLD)]
    return {
        "count": len(ship),
        "without": len(ship) - len(known),
        "left": len(known) - len(listed),
        "told": _told(known),
        "baseline": baseline if before else None,
        "lost": _lost(known, before),
        "folds": [
            {
                "from": 1 + _FOLD * place,
                "to": _FOLD * place + len(fold),
                "least": words.share(fold[0].value, 1),
                "most": words.share(fold[-1].value, 1),
                "rows": [_row(one, before.get(one.name), taken.get(one.name)) for one in fold],
            }
            for place, fold in enumerate(folds)
        ],
    }


def shown(name: str) -> str:
    """A name that leaves room for its row."""
    return name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…"


def _taken(report: Report) -> dict[str, tuple[str, int]]:
    """By class its most frequent wrong answer, and how often."""
    found = classes.confusions(report.details, report.subject)
    if found is None:
        return {}
    names, wrong = found
    taken: dict[str, tuple[str, int]] = {}
    for target, answer, count in zip(wrong.targets, wrong.answers, wrong.counts, strict=True):
        taken.setdefault(names[target], (names[answer], count))
    return taken


def _row(one: ClassQuality, before: float | None, taken: tuple[str, int] | None) -> dict[str, str]:
    return {
        "name": shown(one.name),
        "n": f"{one.n:,}",
        "value": words.share(one.value, 1),
        "interval": "" if one.low is None or one.high is None else f"{100 * one.low:.0f} to {100 * one.high:.0f}",
        "before": words.share(before, 1),
        "taken": f"{shown(taken[0])} ({taken[1]:,})" if taken else "",
    }


def _told(known: list[ClassQuality]) -> str:
    """How the classes are spread, in a sentence."""
    values = [one.value or 0.0 for one in known]
    if not values:
        return ""
    never, always = sum(value == 0 for value in values), sum(value == 1 for value in values)
    middle = median(values)
    parts = [f"half of the classes are answered rightly {words.share(middle, 1)} of the time or more"] if middle else []
    parts += [f"{never:,} of {len(values):,} are never answered rightly"] if never else []
    parts += [f"{always:,} always are"] if always else []
    return "; ".join(parts)


def _lost(known: list[ClassQuality], before: dict[str, float | None]) -> list[dict[str, str]]:
    """The classes that lost most against the baseline; of equal ones that with more samples first."""
    lost = [
        (was - one.value, one)
        for one in known
        if one.value is not None and (was := before.get(one.name)) is not None and was > one.value
    ]
    lost.sort(key=lambda found: (-found[0], -found[1].n, found[1].name))
    return [
        {"name": shown(one.name), "before": words.share(before[one.name], 1), "now": words.share(one.value, 1)}
        for _, one in lost[:_PAIRS]
    ]
