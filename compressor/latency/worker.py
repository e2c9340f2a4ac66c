"""`python -m compressor.latency.worker`: one process of the experiment, in which all models are timed in turn.

Reads one JSON request from stdin; prints JSON lines: {"rounds": done} after each round, and at last {"result": …} or
{"error": sentence, "short": whether for want of memory}. It imports numpy and onnxruntime only: nothing else holds
threads or memory, and it starts fast.
"""

from __future__ import annotations

import base64
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

from compressor import machine
from compressor.device.memory import short_of_memory
from compressor.latency import memory
from compressor.latency.session import fixed_batch, make_feed, open_session

SHORTEST_ROUND_S = 0.010  # a hundred thousand times the clock's step, and longer than a scheduler's tick
BUSY_LIMIT = 0.10  # share of the machine's CPU time that others, the hypervisor included, may take in a round
SETTLED = 0.05  # warm-up ends when two neighbouring medians differ by less than this share
WARM_UP_BLOCK_MS = 5.0
LONGEST_WARM_UP_S = 0.3  # of each case in each process: on a busy machine medians never settle
SAMPLES_AT_LEAST = 100  # of a model that takes less than a tenth of a second, for a 90th percentile costs little then


@dataclass
class Case:
    """One model at one number of threads and one batch size, ready to be timed.

    opened: place in the order in which this process opened its sessions. peak_bytes: what the session and its runs
    added to the process at most.
    """

    model: str
    threads: int
    batch: int
    run: Callable[[], Any]
    opened: int = 0
    load_ms: float = 0.0
    first_ms: float = 0.0
    second_ms: float = 0.0
    peak_bytes: int | None = None
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


def open_all(request: dict[str, Any]) -> tuple[list[Case], list[dict[str, Any]]]:
    """A case for each model, thread count and batch size, from one session for each model and thread count, opened in
    the order asked for; and the settings left out because a file was made for another batch size.

    A session runs its smallest batch first, so that each peak is that of its own batch.
    """
    cases: list[Case] = []
    skipped = []
    for place, (number, threads) in enumerate(request["sessions"]):
        model = request["models"][number]
        counts, before = memory.reset_peak() or place == 0, memory.resident_bytes()
        begin = time.perf_counter()
        session = open_session(model["path"], threads)
        load_ms = (time.perf_counter() - begin) * 1000
        only = fixed_batch(session)
        for batch in sorted(request["batch_sizes"]):
            if only not in (None, batch):
                skipped.append({"model": model["sha256"], "batch": batch, "fixed_batch": only})
                continue
            feed = make_feed(session, batch, request["seed"])
            case = Case(model["sha256"], threads, batch, lambda s=session, f=feed: s.run(None, f), place, load_ms)  # type: ignore[misc]
            case.first_ms = float(case.time(1)[0])
            case.second_ms = float(case.time(1)[0])  # the first that uses the plan of memory which the first run made
            after = memory.peak_bytes()
            case.peak_bytes = after - before if counts and after is not None and before is not None else None
            cases.append(case)
    return cases, skipped


def warm_up(case: Case, request: dict[str, Any]) -> None:
    """Run until the median settles, then choose how many inferences make a round long enough."""
    begin = time.perf_counter()
    previous = fastest = case.second_ms
    while True:
        block = case.time(max(1, min(200, ceil(WARM_UP_BLOCK_MS / max(previous, 1e-3)))))
        median = float(np.median(block))
        steady = abs(median - previous) <= SETTLED * previous
        previous, fastest = median, min(median, fastest)
        if steady or time.perf_counter() - begin > LONGEST_WARM_UP_S or request["quick"]:
            break
    case.repeats = max(1, ceil(1000 * max(SHORTEST_ROUND_S, request["round_seconds"]) / max(fastest, 1e-3)))
    if fastest < 100 and not request["quick"]:
        case.repeats = max(case.repeats, ceil(SAMPLES_AT_LEAST / request["rounds_in_all"]))


def in_order(cases: Sequence[Case], random: np.random.Generator) -> Iterator[Case]:
    """All cases of a round: settings in random order, and within each the models in random order, so that figures
    compared with each other were taken within moments.
    """
    settings = sorted({(case.threads, case.batch) for case in cases})
    for place in random.permutation(len(settings)):
        group = [case for case in cases if (case.threads, case.batch) == settings[place]]
        for member in random.permutation(len(group)):
            yield group[member]


def conditions(before: machine.Ticks | None, own_s: float) -> dict[str, Any]:
    """What the machine did in a round: the shares of its CPU time that others and the hypervisor took."""
    taken: dict[str, Any] = {"others": None, "steal": None}
    after = machine.ticks()
    if before is not None and after is not None and (past := after - before).total > 0:
        own = own_s * os.sysconf("SC_CLK_TCK")
        taken["steal"] = round(past.steal / past.total, 4)
        taken["others"] = round(max(0.0, past.busy + past.steal - own) / past.total, 4)
        taken["busy"] = taken["others"] > BUSY_LIMIT
    else:
        load = machine.load()
        taken["busy"] = load is not None and load > machine.cores()
    return taken


def surroundings() -> dict[str, Any]:
    """The machine at this moment: load of the last minute, clock, and the hypervisor's share since it started."""
    return {"load": machine.load(), "frequency_mhz": machine.frequency_mhz(), "steal": machine.steal()}


def experiment(request: dict[str, Any], tell: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """All rounds of this process: every run of every case, and the conditions of each round."""
    before = surroundings()
    runtime = memory.resident_bytes()
    cases, skipped = open_all(request)
    random = np.random.default_rng([request["seed"], request["process"]])
    for case in cases:
        warm_up(case, request)
    gc.collect()
    gc.freeze()
    gc.disable()
    taken = []
    for done in range(request["rounds"]):
        ticks, own = machine.ticks(), time.process_time()
        for case in in_order(cases, random):
            case.run()  # the caches are the last model's until now
            case.rounds.append(case.time(case.repeats))
        taken.append(conditions(ticks, time.process_time() - own))
        tell({"rounds": done + 1})
    return {
        "cases": [_told(case) for case in cases],
        "skipped": skipped,
        "rounds": taken,
        "before": before,
        "after": surroundings(),
        "runtime_memory_bytes": runtime,
        "busy_limit": BUSY_LIMIT,
    }


def _told(case: Case) -> dict[str, Any]:
    """A case as the caller reads it; the runs of all rounds as the bytes of float32 milliseconds, in base64."""
    runs = np.concatenate(case.rounds) if case.rounds else np.zeros(0)
    return {
        "model": case.model,
        "threads": case.threads,
        "batch": case.batch,
        "opened": case.opened,
        "load_ms": case.load_ms,
        "first_ms": case.first_ms,
        "peak_bytes": case.peak_bytes,
        "lengths": [len(one) for one in case.rounds],
        "runs_ms": base64.b64encode(runs.astype("<f4").tobytes()).decode(),
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
        tell({"error": f"{type(problem).__name__}: {problem}", "short": short_of_memory(problem)})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
