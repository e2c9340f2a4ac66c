"""Latency of several models on this machine, as one experiment whose figures compare."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from compressor import machine
from compressor.deaths import death, lacked_memory
from compressor.device import figures
from compressor.device.limits import Watch
from compressor.device.memory import is_shortage, limit_in_words
from compressor.errors import ResourceError, StepError
from compressor.latency import plan, summary

_PACKAGES = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Model:
    """An ONNX file and its SHA-256, which names it in the results. label: what a person calls it."""

    sha256: str
    path: Path
    label: str = ""


@dataclass(frozen=True)
class Settings:
    """threads and batch sizes to measure, fresh processes, rounds and seconds at least of each model and setting, both
    in all and spread over the processes.

    quick: one process and no waiting for steadiness: for trying out that everything works.
    """

    threads: tuple[int, ...] = (1,)
    batch_sizes: tuple[int, ...] = (1,)
    processes: int = plan.USUAL_PROCESSES
    rounds: int = plan.USUAL_PROCESSES * plan.FEWEST_ROUNDS
    min_seconds: float = 1.0
    seed: int = 0
    quick: bool = False


@dataclass(frozen=True)
class Measurement:
    """latency: machine, rows by SHA-256 and conditions, as `latency.json`.

    rounds: the rounds' medians by SHA-256 and setting, whether each round was busy, and its process, as `rounds.json`.
    """

    latency: dict[str, Any]
    rounds: dict[str, Any]


Advance = Callable[[int, int], None]


def measure(
    models: Sequence[Model], settings: Settings, advance: Advance | None = None, limits: Any = None
) -> Measurement:
    """Time all models in the same rounds of the same fresh processes, one process after the other.

    advance(done, total) is called after each round. A file given twice is measured once. limits: the runner's, for
    files from elsewhere: the memory that a process may take, and the seconds from one round to the next.
    Raises StepError where onnxruntime cannot run a file, ResourceError where a process was killed for memory.
    """
    unique = list({model.sha256: model for model in models}.values())
    tell = advance or (lambda done, total: None)
    processes = 1 if settings.quick else settings.processes
    # The settings that budgets are about come first, and with them the first places in a process.
    sessions = [(number, threads) for threads in settings.threads for number in range(len(unique))]
    orders = plan.openings(len(sessions), processes, settings.seed)
    results: list[dict[str, Any]] = []
    done = 0
    for process, rounds in enumerate(plan.spread(settings.rounds, processes)):
        request = {
            "models": [{"sha256": model.sha256, "path": str(model.path)} for model in unique],
            "sessions": [sessions[place] for place in orders[process]],
            "batch_sizes": settings.batch_sizes,
            "process": process,
            "rounds": rounds,
            "rounds_in_all": settings.rounds,
            "round_seconds": settings.min_seconds / settings.rounds,
            "seed": settings.seed,
            "quick": settings.quick,
        }
        begun = done
        advanced = lambda now, before=begun: tell(before + now, settings.rounds)  # noqa: E731
        results.append(_in_process(request, advanced, limits))
        done += rounds
    return gather(unique, settings, results)


def gather(models: Sequence[Model], settings: Settings, results: Sequence[dict[str, Any]]) -> Measurement:
    """The experiment's figures from what its processes answered."""
    cases: dict[tuple[str, int, int], list[dict[str, Any]]] = {}
    for result in results:
        for case in result["cases"]:
            cases.setdefault((case["model"], case["threads"], case["batch"]), []).append(case)
    fresh = {
        key: summary.as_first({at: [(one["opened"], one[key]) for one in seen] for at, seen in cases.items()})
        for key in ("load_ms", "first_ms", "peak_bytes")
    }
    runtime = summary.middle([result["runtime_memory_bytes"] for result in results])
    rows: dict[str, list[dict[str, Any]]] = {model.sha256: [] for model in models}
    medians: dict[str, dict[str, list[float]]] = {model.sha256: {} for model in models}
    for threads in settings.threads:
        for batch in settings.batch_sizes:
            for model in models:
                at = (model.sha256, threads, batch)
                if at not in cases:
                    continue
                processes = [_runs(case) for case in cases[at]]
                added = fresh["peak_bytes"][at]
                rows[model.sha256].append(
                    figures.row(threads, batch, processes)
                    | {key: fresh[key][at] for key in ("load_ms", "first_ms")}
                    | {"peak_memory_bytes": None if added is None or runtime is None else round(runtime + added)}
                )
                medians[model.sha256][f"{threads}x{batch}"] = [
                    middle for rounds in processes for middle in figures.round_medians(rounds)
                ]
    latency = {
        "machine": {**machine.describe(), "onnxruntime": version("onnxruntime"), "numpy": version("numpy")},
        "rows": rows,
        "settings": {
            "processes": len(results),
            "rounds": settings.rounds,
            "min_seconds": settings.min_seconds,
            "seed": settings.seed,
        },
        "runtime_memory_bytes": None if runtime is None else round(runtime),
        "conditions": [taken for result in results for taken in result["rounds"]],
        "surroundings": [{"before": result["before"], "after": result["after"]} for result in results],
        "busy_limit": results[0]["busy_limit"],
        "skipped": _skipped(results),
    }
    busy = [bool(taken["busy"]) for taken in latency["conditions"]]
    process = [place for place, result in enumerate(results) for _ in result["rounds"]]
    return Measurement(latency, {**medians, "busy": busy, "process": process})


def _runs(case: dict[str, Any]) -> list[np.ndarray]:
    """Milliseconds of each run, an array a round."""
    runs = np.frombuffer(base64.b64decode(case["runs_ms"]), "<f4").astype(float)
    return [runs[begin:end] for begin, end in pairwise(accumulate(case["lengths"], initial=0))]


def _skipped(results: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What could not be measured, each model and batch size once, whatever the threads."""
    return list({(one["model"], one["batch"]): one for result in results for one in result["skipped"]}.values())


def _in_process(request: dict[str, Any], told: Callable[[int], None], limits: Any) -> dict[str, Any]:
    """The result of one fresh process. told: rounds that it has finished."""
    pipe = subprocess.PIPE
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as complaints,
        subprocess.Popen(
            _command(), stdin=pipe, stdout=pipe, stderr=complaints, text=True, env=_environment()
        ) as worker,
    ):
        assert worker.stdin
        assert worker.stdout
        watch = Watch(worker, limits) if limits else None
        try:
            if watch:
                watch.begin()
            with contextlib.suppress(BrokenPipeError):  # it is gone already: its exit code says why
                worker.stdin.write(json.dumps(request))
                worker.stdin.close()
            for line in worker.stdout:
                message = json.loads(line)
                if watch:
                    watch.begin()
                if "rounds" in message:
                    told(message["rounds"])
                elif "error" in message:
                    if message["short"]:
                        raise _short(message["error"], max(request["batch_sizes"]))
                    raise StepError("latency", f"onnxruntime could not time the models ({message['error']})",
                                    "check that each file runs in onnxruntime on this machine")  # fmt: skip
                else:
                    result: dict[str, Any] = message["result"]
                    return result
        except BaseException:
            worker.kill()
            raise
        finally:
            if watch:
                watch.stop()
        if watch and watch.over:
            raise StepError("latency", watch.over, "allow more with --max-seconds or --max-memory-mb if you trust it")
        code = worker.wait()
        complaints.seek(0)
        complaint = _last_line(complaints.read())
    raise _failure(code, complaint, max(request["batch_sizes"]))


def _command() -> list[str]:
    return [sys.executable, "-m", "compressor.latency.worker"]


def _environment() -> dict[str, str]:
    """The worker finds this package, and nothing that happens to lie in the current folder."""
    paths = [str(_PACKAGES), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONSAFEPATH": "1"}


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else ""


def _failure(code: int, complaint: str, batch: int) -> StepError | ResourceError:
    if is_shortage(complaint):
        return _short(complaint, batch)
    if code < 0:
        smaller = f"use a batch size below {batch} or " if batch > 1 and lacked_memory(code) else ""
        return ResourceError("latency", f"a process that measured all models {death(code)}{limit_in_words()}",
                             f"{smaller}end other programs, and start the same command again")  # fmt: skip
    return StepError("latency", "a process that measured all models ended without a result "
                     f"({complaint or f'exit code {code}'})",
                     "run again; if it stays, check the files with onnxruntime")  # fmt: skip


def _short(told: str, batch: int) -> ResourceError:
    smaller = f"use a batch size below {batch} or " if batch > 1 else ""
    what = f"the memory does not suffice for a process that measures all models ({told[:200]}{limit_in_words()})"
    return ResourceError("latency", what, f"{smaller}end other programs")
