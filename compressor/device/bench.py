"""`--bench`: latency on this device, in fresh processes, and what this device is."""

from __future__ import annotations

import gc
import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL

from . import program
from .figures import row
from .manifest import MODEL, RUNNER
from .memory import text_of
from .predict import Model
from .refused import ALTERED, NOT_A_BUNDLE, RESOURCES, Refused
from .samples import inputs_of


def machine() -> dict[str, Any]:
    """What the rows were measured on, with the keys of report.json's `environment`; null where not known."""
    about = dict(reversed([_pair(line) for line in text_of("/proc/cpuinfo").splitlines()]))
    memory = dict(_pair(line) for line in text_of("/proc/meminfo").splitlines()).get("MemTotal", "").split()
    units = set((about.get("flags") or about.get("Features") or "").split())
    versions = {"numpy": np.__version__, "pillow": PIL.__version__}
    if "onnxruntime" in sys.modules:
        versions["onnxruntime"] = sys.modules["onnxruntime"].__version__
    return {
        "cpu": about.get("model name") or about.get("Hardware") or platform.processor() or platform.machine(),
        "isa": " ".join([platform.machine(), *(unit for unit in UNITS if unit in units)]),
        "cores": os.cpu_count(),
        "governor": text_of("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").strip() or None,
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "memory_bytes": int(memory[0]) * 1024 if memory else None,
        "os": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "libraries": versions,
    }


UNITS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8", "asimd", "asimddp", "i8mm", "sve")


def _pair(line: str) -> tuple[str, str]:
    key, _, value = line.partition(":")
    return key.strip(), value.strip()


PROCESSES = 10
SHORTEST_ROUND_S = 0.02
LONGEST_WARM_UP_S = 3.0


def bench(
    folder: Path, facts: Mapping[str, Any], threads: Sequence[int], batch: int | None, rounds: int
) -> dict[str, Any]:
    """`{"machine", "model_sha256", "rows"}`: a row of report.json's `latency` for each number of threads.

    rounds: in all, spread over fresh processes: where a process puts its memory moves its times by more than the
    rounds within it show.
    """
    fixed = Model(folder, facts, 1).fixed_batch
    size = batch or fixed or 1
    if fixed not in (None, size):
        raise Refused(2, "--batch", f"is {size}, but the model was made for {fixed}", "leave it out")
    rows = []
    for count in threads:
        shares = [len(range(place, rounds, PROCESSES)) for place in range(min(PROCESSES, rounds))]
        rows.append(_row([_fresh(folder, count, size, share) for share in shares], count, size))
    return {"machine": machine(), "model_sha256": facts["files"][MODEL]["sha256"], "rows": rows}


def _timed(model: Model, feed: np.ndarray, rounds: int) -> list[np.ndarray]:
    """Milliseconds of each inference, one array a round, after the median has settled."""
    name, session = model.source["name"], model.session

    def times(count: int) -> np.ndarray:
        stamps = [time.perf_counter()]
        for _ in range(count):
            session.run(None, {name: feed})
            stamps.append(time.perf_counter())
        return np.diff(stamps) * 1000

    begin, previous = time.perf_counter(), float(np.median(times(3)))
    while True:
        median = float(np.median(times(max(3, min(100, int(20 / max(previous, 1e-3)))))))
        settled, previous = abs(median - previous) <= 0.05 * previous, median
        if settled or time.perf_counter() - begin > LONGEST_WARM_UP_S:
            break
    repeats = max(5, int(1000 * SHORTEST_ROUND_S / max(previous, 1e-3)) + 1)
    gc.collect()
    gc.disable()
    try:
        return [times(repeats) for _ in range(rounds)]
    finally:
        gc.enable()


def _row(processes: Sequence[Mapping[str, Any]], threads: int, batch: int) -> dict[str, Any]:
    """One row of what each process found, as `probe` gives it."""
    rounds = [[np.asarray(times, dtype=float) for times in one["rounds_ms"]] for one in processes]
    peaks = [one["peak_memory_bytes"] for one in processes if one["peak_memory_bytes"] is not None]
    return {
        **row(threads, batch, rounds),
        **{name: float(np.median([one[name] for one in processes])) for name in ("load_ms", "first_ms")},
        "peak_memory_bytes": max(peaks, default=None),
    }


def _fresh(folder: Path, threads: int, batch: int, rounds: int) -> dict[str, Any]:
    """What `probe` finds in a process of its own; Refused where that ends without an answer."""
    command, needed = program.again()
    command += ["--bundle", str(folder), "--probe", str(os.getpid())]
    command += ["--threads", str(threads), "--batch", str(batch), "--rounds", str(rounds)]
    environment = {**os.environ, **needed}
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", env=environment, check=False)
    if done.returncode == 0:
        return dict(json.loads(done.stdout))
    said = (done.stderr.strip().splitlines() or ["no words"])[-1].removeprefix(f"{RUNNER}: ")[:300]
    how = f"died by {signal.Signals(-done.returncode).name}" if done.returncode < 0 else f"ended: {said}"
    code = done.returncode if done.returncode in (NOT_A_BUNDLE, ALTERED) else RESOURCES
    todo = "end other programs, and measure again" if code == RESOURCES else "see that `--check` finds it whole"
    raise Refused(code, str(folder), f"a process that was to be timed {how}", todo)


def probe(folder: Path, facts: Mapping[str, Any], threads: int, batch: int, rounds: int) -> dict[str, Any]:
    """What this process pays to load the model and run it once, and milliseconds of each run, an array a round."""
    import onnxruntime  # noqa: F401  # its import is not the model's loading

    samples = inputs_of(folder, facts)
    feed = np.resize(samples, (batch, *samples.shape[1:]))
    begin = time.perf_counter()
    model = Model(folder, facts, threads)
    loaded = time.perf_counter()
    model.run(feed)
    ended = time.perf_counter()
    return {
        "load_ms": (loaded - begin) * 1e3, "first_ms": (ended - loaded) * 1e3, "peak_memory_bytes": _peak_memory(),
        "rounds_ms": [times.round(6).tolist() for times in _timed(model, feed, rounds)],
    }  # fmt: skip


def _peak_memory() -> int | None:
    line = next((line for line in text_of("/proc/self/status").splitlines() if line.startswith("VmHWM:")), "")
    return int(line.split()[1]) * 1024 if line else None
