"""Latency of several models on this machine, as one experiment whose figures compare."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from compressor.errors import ResourceError, StepError
from compressor.latency import machine

_PACKAGES = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Model:
    """An ONNX file and its SHA-256, which names it in the results. label: what a person calls it."""

    sha256: str
    path: Path
    label: str = ""


@dataclass(frozen=True)
class Settings:
    """threads and batch sizes to measure, rounds of each, seconds at least for each model and setting in all.

    quick: no waiting for steadiness, no fresh processes: for trying out that everything works.
    """

    threads: tuple[int, ...] = (1,)
    batch_sizes: tuple[int, ...] = (1,)
    rounds: int = 30
    min_seconds: float = 1.0
    seed: int = 0
    quick: bool = False


@dataclass(frozen=True)
class Measurement:
    """latency: machine, rows by SHA-256 and conditions, as `latency.json`. rounds: the medians, as `rounds.json`."""

    latency: dict[str, Any]
    rounds: dict[str, Any]


Advance = Callable[[int, int], None]


def measure(models: Sequence[Model], settings: Settings, advance: Advance | None = None) -> Measurement:
    """Time all models in the same rounds, in a process of their own, then load each once more in a fresh one.

    advance(done, total) is called as the experiment goes on. A file given twice is measured once.
    Raises StepError where onnxruntime cannot run a file, ResourceError where the process was killed for memory.
    """
    unique = list({model.sha256: model for model in models}.values())
    probes = 0 if settings.quick else len(unique) * len(settings.threads) * len(settings.batch_sizes)
    tell = advance or (lambda done, total: None)
    result = _experiment(unique, settings, lambda done, total: tell(done, total + probes))
    steps = settings.rounds + sum(len(rows) for rows in result["rows"].values())
    for model in unique:
        for row in result["rows"].get(model.sha256, []):
            row.update(load_ms=None, first_ms=None, peak_memory_bytes=None)
            if not settings.quick:
                row.update(probe(model, row["threads"], row["batch"], settings.seed))
                result["runtime_memory_bytes"] = row.pop("runtime_memory_bytes")
                steps += 1
                tell(steps, settings.rounds + 2 * probes)
    about = {**machine.describe(), "onnxruntime": version("onnxruntime"), "numpy": version("numpy")}
    latency = {
        "machine": about,
        "rows": {model.sha256: result["rows"].get(model.sha256, []) for model in unique},
        "settings": {"rounds": settings.rounds, "min_seconds": settings.min_seconds, "seed": settings.seed},
        "runtime_memory_bytes": result.get("runtime_memory_bytes"),
        "conditions": result["conditions"],
        "busy_limit": result["busy_limit"],
        "skipped": result["skipped"],
    }
    return Measurement(latency, {**result["rounds"], "busy": result["busy"]})


def probe(model: Model, threads: int, batch: int, seed: int = 0) -> dict[str, Any]:
    """load_ms, first_ms, peak_memory_bytes and runtime_memory_bytes (before loading) from a fresh process."""
    request = {"path": str(model.path), "threads": threads, "batch": batch, "seed": seed}
    done = subprocess.run(
        _command("probe"), input=json.dumps(request), capture_output=True, text=True, env=_environment(), check=False
    )
    if done.returncode != 0:
        raise _failure(model.label or str(model.path), done.returncode, _last_line(done.stderr), batch)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _experiment(models: Sequence[Model], settings: Settings, advance: Advance) -> dict[str, Any]:
    request = {
        "models": [{"sha256": model.sha256, "path": str(model.path)} for model in models],
        "threads": settings.threads,
        "batch_sizes": settings.batch_sizes,
        "rounds": settings.rounds,
        "min_seconds": settings.min_seconds,
        "seed": settings.seed,
        "quick": settings.quick,
    }
    pipe = subprocess.PIPE
    started = subprocess.Popen(_command("worker"), stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=_environment())
    with started as worker:
        assert worker.stdin
        assert worker.stdout
        assert worker.stderr
        try:
            worker.stdin.write(json.dumps(request))
            worker.stdin.close()
            for line in worker.stdout:
                message = json.loads(line)
                if "progress" in message:
                    advance(*message["progress"])
                elif "error" in message:
                    raise StepError("latency", f"onnxruntime could not time the models ({message['error']})",
                                    "check that each file runs in onnxruntime on this machine")  # fmt: skip
                else:
                    result: dict[str, Any] = message["result"]
                    return result
            complaint = _last_line(worker.stderr.read())
        except BaseException:
            worker.kill()
            raise
        code = worker.wait()
    raise _failure("all models", code, complaint, max(settings.batch_sizes))


def _command(module: str) -> list[str]:
    return [sys.executable, "-m", f"compressor.latency.{module}"]


def _environment() -> dict[str, str]:
    """The worker finds this package, and nothing that happens to lie in the current folder."""
    paths = [str(_PACKAGES), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONSAFEPATH": "1"}


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else ""


def _failure(what: str, code: int, complaint: str, batch: int) -> StepError | ResourceError:
    if code == -signal.SIGKILL:
        return ResourceError("latency", f"the process that measured {what} was killed, most likely for lack of memory",
                             f"use a batch size below {batch} or end other programs")  # fmt: skip
    reason = complaint or f"exit code {code}"
    return StepError("latency", f"the process that measured {what} ended without a result ({reason})",
                     "run again; if it stays, check the file with onnxruntime")  # fmt: skip
