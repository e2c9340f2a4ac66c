"""`python -m compressor.latency.worker`: the process in which all models are timed, in turn and in random order.

Reads one JSON request from stdin; prints JSON lines: {"progress": [done, total]} and at last {"result": …} or
{"error": sentence}. It imports numpy and onnxruntime only, so that nothing else holds threads or memory.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any

import numpy as np

from compressor.latency import machine, summary
from compressor.latency.session import fixed_batch, make_feed, open_session

SHORTEST_ROUND_S = 0.010  # a hundred thousand times the clock's step, and longer than a scheduler's tick
BUSY_LIMIT = 0.10  # share of the machine's CPU time that others, the hypervisor included, may take in a round
SETTLED = 0.05  # warm-up ends when two neighbouring medians differ by less than this share
LONGEST_WARM_UP_S = 3.0


@dataclass
class Case:
    """One model at one number of threads and one batch size, ready to be timed."""

    model: str
    threads: int
    batch: int
    run: Callable[[], Any]
    repeats: int = 1
    rounds: list[np.ndarray] = field(default_factory=list)

    def time(self, repeats: int) -> np.ndarray:
        """Milliseconds of each of `repeats` inferences, one after the other."""
        clock, run, stamps = time.perf_counter_ns, self.run, [0] * (repeats + 1)
        stamps[0] = clock()
        for place in range(1, repeats + 1):
            run()
            stamps[place] = clock()
        return np.diff(np.array(stamps, dtype=np.int64)) / 1e6


def make_cases(request: dict[str, Any]) -> tuple[list[Case], list[dict[str, Any]]]:
    """A case for each model, thread count and batch size, one session for each model and thread count; and the
    settings left out because a file was made for another batch size.
    """
    cases, skipped = [], []
    for model in request["models"]:
        for threads in request["threads"]:
            session = open_session(model["path"], threads)
            only = fixed_batch(session)
            for batch in request["batch_sizes"]:
                if only not in (None, batch):
                    skipped.append({"model": model["sha256"], "batch": batch, "fixed_batch": only})
                    continue
                feed = make_feed(session, batch, request["seed"])
                cases.append(Case(model["sha256"], threads, batch, lambda s=session, f=feed: s.run(None, f)))  # type: ignore[misc]
    return cases, skipped


def warm_up(case: Case, request: dict[str, Any]) -> None:
    """Run until the median settles, then choose how many inferences make a round long enough."""
    begin = time.perf_counter()
    previous = float(np.median(case.time(1)))
    while True:
        block = case.time(max(3, min(200, ceil(20 / max(previous, 1e-3)))))
        median = float(np.median(block))
        steady = abs(median - previous) <= SETTLED * previous
        previous = median
        if steady or time.perf_counter() - begin > LONGEST_WARM_UP_S or request["quick"]:
            break
    round_s = max(SHORTEST_ROUND_S, request["min_seconds"] / request["rounds"])
    case.repeats = max(1, ceil(1000 * round_s / max(previous, 1e-3)))
    if previous < 100 and not request["quick"]:  # enough samples for a p90 where that costs seconds only
        case.repeats = max(case.repeats, ceil(summary.SAMPLES_NEEDED[90] / request["rounds"]))


def in_order(cases: Sequence[Case], random: np.random.Generator) -> Iterator[Case]:
    """All cases of a round: settings in random order, and within each the models in random order, so that figures
    compared with each other were taken within moments.
    """
    settings = sorted({(case.threads, case.batch) for case in cases})
    for place in random.permutation(len(settings)):
        group = [case for case in cases if (case.threads, case.batch) == settings[place]]
        for member in random.permutation(len(group)):
            yield group[member]


def conditions(before: machine.Ticks | None, own_s: float, load_before: float | None) -> dict[str, Any]:
    """What the machine did in a round: load, clock, and the shares of CPU time that others and the hypervisor took."""
    after, load_after = machine.ticks(), machine.load()
    taken: dict[str, Any] = {"load_before": load_before, "load_after": load_after,
                             "frequency_mhz": machine.frequency_mhz(), "others": None, "steal": None}  # fmt: skip
    if before is not None and after is not None and (past := after - before).total > 0:
        own = own_s * os.sysconf("SC_CLK_TCK")
        taken["steal"] = round(past.steal / past.total, 4)
        taken["others"] = round(max(0.0, past.busy + past.steal - own) / past.total, 4)
        taken["busy"] = taken["others"] > BUSY_LIMIT
    else:
        taken["busy"] = load_after is not None and load_after > machine.cores()
    return taken


def experiment(request: dict[str, Any], tell: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """All rounds of all models: figures, round medians, and the conditions of each round."""
    cases, skipped = make_cases(request)
    random = np.random.default_rng(request["seed"])
    total = len(cases) + request["rounds"]
    for done, case in enumerate(cases):
        warm_up(case, request)
        tell({"progress": [done + 1, total]})
    gc.collect()
    gc.freeze()
    gc.disable()
    taken = []
    for done in range(request["rounds"]):
        before, load_before, own = machine.ticks(), machine.load(), time.process_time()
        for case in in_order(cases, random):
            case.run()  # the caches are the last model's until now
            case.rounds.append(case.time(case.repeats))
        taken.append(conditions(before, time.process_time() - own, load_before))
        tell({"progress": [len(cases) + done + 1, total]})
    return gather(cases, taken, skipped)


def gather(cases: Sequence[Case], taken: list[dict[str, Any]], skipped: list[dict[str, Any]]) -> dict[str, Any]:
    """The result as the experiment's caller reads it."""
    rows: dict[str, list[dict[str, Any]]] = {case.model: [] for case in cases}
    medians: dict[str, dict[str, list[float]]] = {case.model: {} for case in cases}
    for case in cases:
        rows[case.model].append(summary.row(case.threads, case.batch, case.rounds))
        medians[case.model][f"{case.threads}x{case.batch}"] = summary.round_medians(case.rounds)
    return {
        "rows": rows,
        "rounds": medians,
        "busy": [bool(conditions["busy"]) for conditions in taken],
        "conditions": taken,
        "busy_limit": BUSY_LIMIT,
        "skipped": skipped,
    }


def main() -> int:
    """Serve one request. A file that cannot be timed is an answer, not a traceback."""
    request = json.load(sys.stdin)

    def tell(message: dict[str, Any]) -> None:
        print(json.dumps(message), flush=True)

    try:
        tell({"result": experiment(request, tell)})
    except BrokenPipeError:
        return 1
    except Exception as problem:  # whatever onnxruntime says must reach the person, named by the caller
        tell({"error": f"{type(problem).__name__}: {problem}"})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
