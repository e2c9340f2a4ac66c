"""What the experiments say together: rates with their intervals, and how often a repeat should agree."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from math import comb, inf
from pathlib import Path
from typing import Any

import numpy as np

from compressor.statistics import median_interval, time_interval, wilson

Record = dict[str, Any]
_DRAWS = 200_000


def write(records: Sequence[Record], folder: Path) -> None:
    """summary.json and README.md from the lines of experiments.jsonl."""
    found = summarised(records)
    (folder / "summary.json").write_text(json.dumps(found, indent=1) + "\n")
    (folder / "README.md").write_text(page(found))
    print(page(found))


def summarised(records: Sequence[Record]) -> dict[str, Any]:
    """By condition and network, and pooled."""
    experiments = [record for record in records if record["kind"] == "experiment"]
    truths = {(record["net"], record["condition"]): record for record in records if record["kind"] == "truth"}
    pairs = list(dict.fromkeys((record["condition"], record["net"]) for record in experiments))
    conditions = list(dict.fromkeys(condition for condition, _ in pairs))
    groups = {
        f"{net}, {condition}": [one for one in experiments if (one["condition"], one["net"]) == (condition, net)]
        for condition, net in sorted(pairs)
    }
    pooled = {
        f"all, {condition}": [one for one in experiments if one["condition"] == condition] for condition in conditions
    }
    n = {record["settings"]["processes"] for record in experiments}
    return {
        "here": sorted({record["here"] for record in records}),
        "settings": [json.loads(text) for text in sorted({_settings(record) for record in experiments})],
        "seconds_of_one": round(float(np.median([one["seconds"] for one in experiments])), 2) if experiments else None,
        "repeat_should_agree": {str(count): repeat_within(count) for count in sorted(n)},
        "interval_should_miss": {str(count): missed(count) for count in sorted(n)},
        "truth": {f"{net}, {condition}": _truth(one) for (net, condition), one in truths.items()},
        "rates": {
            name: _rates(group, truths) for name, group in {**groups, **pooled, "all": experiments}.items() if group
        },
    }


def _settings(record: Record) -> str:
    return json.dumps({key: value for key, value in record["settings"].items() if key != "seed"}, sort_keys=True)


def _truth(record: Record) -> dict[str, Any]:
    """How many per cent longer each copy takes than the first file, from the long experiment."""
    return {
        role: {"value": round(100 * (1 / one["value"] - 1), 3), "low": round(100 * (1 / one["high"] - 1), 3),
               "high": round(100 * (1 / one["low"] - 1), 3)}
        for role, one in record["speedups"].items()
    }  # fmt: skip


def _rates(group: Sequence[Record], truths: dict[tuple[str, str], Record]) -> dict[str, Any]:
    speedups = [one["speedups"] for one in group]
    slower = [role for role in speedups[0] if role != "twin"]
    loads = sorted(one["load"] for one in group if one["load"] is not None)
    return {
        "experiments": len(group),
        "p50_ms": round(float(np.median([one["rows"]["one"]["p50_ms"] for one in group])), 5),
        "half_width_percent": round(
            float(np.median([50 * (one["twin"]["high"] - one["twin"]["low"]) for one in speedups])), 3
        ),
        "equal_called_different": rate([not one["twin"]["low"] <= 1 <= one["twin"]["high"] for one in speedups]),
        "equal_fails_speedup_of_1": rate([one["twin"]["at_least_1"] == "broken" for one in speedups]),
        **{f"{role}_called_slower": rate([one[role]["at_least_1"] == "broken" for one in speedups]) for role in slower},
        **{f"{role}_called_faster": rate([one[role]["low"] > 1 for one in speedups]) for role in slower},
        **{f"{role}_interval_holds_truth": rate(list(_holding(group, role, truths))) for role in slower},
        "repeat_p50_agrees": rate(_repeats(group, _time, "p50_ms", "low_ms", "high_ms")),
        "repeat_speedup_agrees": rate(_repeats(group, lambda one: one["speedups"]["twin"], "value", "low", "high")),
        "load": {"least": loads[0], "median": loads[len(loads) // 2], "most": loads[-1]} if loads else None,
        "busy_rounds": round(float(np.mean([one["busy_rounds"] / one["settings"]["rounds"] for one in group])), 4),
        "largest_steal": max(one["steal"] for one in group),
    }


def _time(one: Record) -> dict[str, float]:
    """The first file's median, and the interval that the product gives it."""
    found = time_interval(one["process_p50_ms"])
    low, high = (-inf, inf) if found.low is None or found.high is None else (found.low, found.high)
    return {"p50_ms": found.value, "low_ms": low, "high_ms": high}


def _holding(group: Sequence[Record], role: str, truths: dict[tuple[str, str], Record]) -> list[bool]:
    found = []
    for one in group:
        truth = truths.get((one["net"], one["condition"]))
        if truth is not None:
            given = one["speedups"][role]
            found.append(bool(given["low"] <= truth["speedups"][role]["value"] <= given["high"]))
    return found


def _repeats(group: Sequence[Record], of: Callable[[Record], Any], value: str, low: str, high: str) -> list[bool]:
    """Whether each experiment's value lies within the interval of the one before it, of the same net and condition."""
    found, before = [], {}
    for one in sorted(group, key=lambda record: int(record["number"])):
        at = (one["net"], one["condition"])
        if at in before:
            found.append(bool(of(before[at])[low] <= of(one)[value] <= of(before[at])[high]))
        before[at] = one
    return found


def rate(hits: Sequence[bool]) -> dict[str, Any]:
    """How many of how many, the share, and Wilson's 95 % interval of it."""
    if not hits:
        return {"count": 0, "of": 0, "share": None, "low": None, "high": None}
    interval = wilson(sum(hits), len(hits))
    share, low, high = (round(value or 0.0, 4) for value in (interval.value, interval.low, interval.high))
    return {"count": sum(hits), "of": len(hits), "share": share, "low": low, "high": high}


def missed(n: int) -> float:
    """How often the order-statistic interval of n values misses the median: 11/512 for n = 10, the 2nd to the 9th."""
    place = _place(n)
    return round(2 * sum(comb(n, heads) for heads in range(place)) / 2**n, 4)


def repeat_within(n: int) -> dict[str, float]:
    """How often the median of n new values lies within the order-statistic interval of n earlier ones.

    The interval is about the true median; the repeat's median has an error of its own, so it is inside less often than
    the interval holds the truth. For an even n the median is the mean of two order statistics: `least` counts it inside
    only if both are, `most` if either is, both whatever the distribution; `normal` is for normal values.
    """
    place, lower, upper = _place(n), (n + 1) // 2, n // 2 + 1
    least = 1 - 2 * _below(n, lower, place)
    most = 1 - 2 * _below(n, upper, place)
    random = np.random.default_rng(0)
    first = np.sort(random.standard_normal((_DRAWS, n)), axis=1)
    second = np.median(random.standard_normal((_DRAWS, n)), axis=1)
    inside = (first[:, place - 1] <= second) & (second <= first[:, n - place])
    return {"least": round(least, 4), "normal": round(float(inside.mean()), 4), "most": round(most, 4)}


def _below(n: int, j: int, k: int) -> float:
    """P(the j-th smallest of n values lies below the k-th smallest of n others): fewer than k others come before it.

    All orders of the 2n values are equally likely. Before the j-th value there are j - 1 of its own and m others.
    """
    return sum(comb(m + j - 1, m) * comb(2 * n - m - j, n - m) for m in range(k)) / comb(2 * n, n)


def _place(n: int) -> int:
    """Of n values the interval is from the k-th smallest to the k-th largest; this is k."""
    interval = median_interval(range(1, n + 1))
    return int(interval.low or 0)


def page(found: dict[str, Any]) -> str:
    """The summary as Markdown."""
    settings = ["; ".join(f"{key} {value}" for key, value in one.items()) for one in found["settings"]]
    copies = list(next(iter(found["truth"].values()), {}))
    lines = [
        "# Are the latency intervals true?",
        "",
        "Made by `benchmarks/latency_truth/run.py`. All experiments are in `experiments.jsonl`, all rates in",
        "`summary.json`.",
        "",
        *(f"- Machine: {one}" for one in found["here"]),
        *(f"- Settings of an experiment: {one}" for one in settings),
        f"- An experiment takes {found['seconds_of_one']} s. `busy` is beside a process that multiplies matrices.",
        "",
        "How much longer each file really takes than its first, in 40 processes (%):",
        "",
        *_table(
            ["network, machine", *copies], [[name, *map(_more, one.values())] for name, one in found["truth"].items()]
        ),
        "",
        "Rates, with Wilson's 95 % intervals in brackets (%):",
        "",
        *_table(
            ["network, machine", "p50, ms", "± of a ratio, %", *_SHOWN.values()],
            [_row(name, rates) for name, rates in found["rates"].items()],
        ),
        "",
        *(
            f"Of {n} processes the interval should miss the truth in {100 * found['interval_should_miss'][n]:.2f} % of "
            f"experiments, and the median of a repeat should lie within the interval before it in "
            f"{100 * one['normal']:.1f} % ({100 * one['least']:.1f} to {100 * one['most']:.1f} %, whatever the noise)."
            for n, one in found["repeat_should_agree"].items()
        ),
        "",
    ]
    return "\n".join(lines)


_SHOWN = {
    "equal_called_different": "equal files called different",
    "equal_fails_speedup_of_1": "they fail `speedup: {min: 1}`",
    "slower_2_called_slower": "2 % called slower",
    "slower_5_called_slower": "5 % called slower",
    "repeat_p50_agrees": "a repeat's p50 agrees",
    "repeat_speedup_agrees": "a repeat's ratio agrees",
}


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    rule = [":--", *["--:"] * (len(head) - 1)]
    return [f"| {' | '.join(cells)} |" for cells in (head, rule, *rows)]


def _more(one: dict[str, float]) -> str:
    return f"{one['value']:+.2f} [{one['low']:+.2f}, {one['high']:+.2f}]"


def _row(name: str, rates: dict[str, Any]) -> list[str]:
    time = "" if name.startswith("all") else f"{rates['p50_ms']:.4f}"
    return [name, time, f"{rates['half_width_percent']:.2f}", *(_cell(rates[kind]) for kind in _SHOWN)]


def _cell(one: dict[str, Any]) -> str:
    if not one["of"]:
        return "—"
    return (
        f"{one['count']} of {one['of']} ({100 * one['share']:.1f} % [{100 * one['low']:.1f}, {100 * one['high']:.1f}])"
    )
