"""Whether latency intervals are true: equal files called different, known slowdowns seen, repeats that agree.

    python benchmarks/latency_truth/run.py [--experiments 60] [--results DIR] [--summary]

Runs the product's own latency experiment with its default settings on int8 networks of about 0.03, 0.3 and 3 ms. Each
experiment holds a file, its twin (the same graph, another doc string) and two copies that do 2 % and 5 % more of the
same work; how much more they really take is measured first, in 40 processes. It does so alone and beside one busy
process, alternately, so that whatever the machine does meets both. Give it a quiet machine: 60 experiments of each take
45 minutes to an hour on two cores.

Every experiment is a line of experiments.jsonl in benchmarks/results/latency_truth/; started again, the run goes on
behind the last one, and a larger --experiments adds to them. summary.json and README.md there are made from these lines
at the end, or at any time with --summary.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import nets
import summary

from compressor import machine
from compressor.latency import experiment
from compressor.report.contract.report import Limit
from compressor.report.judgement.latencies import Latencies
from compressor.report.judgement.verdict import state_of
from compressor.statistics import process_ratios

RESULTS = Path(__file__).resolve().parents[1] / "results" / "latency_truth"
TRUTH = experiment.Settings(processes=40, rounds=160, min_seconds=8.0)
CONDITIONS = ("alone", "busy")

# Products of matrices that fill the second cache: what a training beside the benchmark does.
_BUSY = """
import os, numpy
parent, left = os.getppid(), numpy.ones((256, 256), "float32")
while os.getppid() == parent:
    left = left @ left
    left /= left.max()
"""


def main() -> int:
    """Whatever is missing, then the summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiments", type=int, default=60, help="of each network under each condition")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--summary", action="store_true", help="measure nothing")
    arguments = parser.parse_args()
    arguments.results.mkdir(parents=True, exist_ok=True)
    lines = arguments.results / "experiments.jsonl"
    if not arguments.summary:
        measure(lines, arguments.experiments)
    summary.write(read(lines), arguments.results)
    return 0


def measure(lines: Path, experiments: int) -> None:
    """Append every experiment that is not there yet."""
    records = read(lines)
    here = about()
    if others := {record["here"] for record in records} - {here}:
        sys.exit(f"{lines} holds experiments of another machine or version ({others.pop()}, here {here}); move it away")
    done = {(record["kind"], record["net"], record["condition"], record["number"]) for record in records}
    wanted = [("truth", 0), *(("experiment", number) for number in range(experiments))]
    left = [
        (kind, number, net, condition)
        for kind, number in wanted
        for net in nets.NETS
        for condition in CONDITIONS
        if (kind, net.name, condition, number) not in done
    ]
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        files = {net.name: nets.write_all(net, Path(folder) / net.model / str(net.shape[1])) for net in nets.NETS}
        for place, (kind, number, net, condition) in enumerate(left):
            settings = TRUTH if kind == "truth" else experiment.Settings(seed=number)
            with beside(condition):
                found = one(files[net.name], settings)
            record = {"kind": kind, "net": net.name, "condition": condition, "number": number, "here": here, **found}
            append(lines, record)
            hours = (time.monotonic() - begun) / (place + 1) * (len(left) - place - 1) / 3600
            spans = [f"{one['low']:.4f} to {one['high']:.4f}" for one in found["speedups"].values()]
            print(f"{place + 1} of {len(left)}: {kind} {number}, {net.name}, {condition}: {', '.join(spans)}; "
                  f"{hours:.2f} h left", flush=True)  # fmt: skip


def about() -> str:
    """What must not change between the experiments of one table."""
    described = machine.describe()
    versions = [f"{name} {_version(name)}" for name in ("onnxruntime", "numpy")]
    return "; ".join([str(described["cpu"]), str(described["isa"]), f"{described['cores']} cores", *versions])


def _version(name: str) -> str:
    from importlib.metadata import version

    return version(name)


@contextlib.contextmanager
def beside(condition: str) -> Iterator[None]:
    """Alone, or while another process keeps a core busy."""
    if condition == "alone":
        yield
        return
    single = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    other = subprocess.Popen([sys.executable, "-c", _BUSY], env=single)
    try:
        time.sleep(0.5)
        yield
    finally:
        other.kill()
        other.wait()


def one(files: Mapping[str, Path], settings: experiment.Settings) -> dict[str, Any]:
    """One experiment of the product: its rows and speed-ups over `one` with the verdict's judgement of each."""
    begun = time.monotonic()
    shas = {role: hashlib.sha256(path.read_bytes()).hexdigest() for role, path in files.items()}
    measured = experiment.measure([experiment.Model(shas[role], path, role) for role, path in files.items()], settings)
    rows = {role: measured.latency["rows"][sha][0] for role, sha in shas.items()}
    medians, process = {role: measured.rounds[sha] for role, sha in shas.items()}, tuple(measured.rounds["process"])
    latencies = Latencies({}, measured.latency["rows"], {shas[role]: medians[role] for role in shas}, (), process)
    speedups = {}
    for role in files:
        if role != "one" and (found := latencies.speedup(shas["one"], shas[role])) is not None:
            state = state_of(found, Limit(min=1.0), "interval")
            speedups[role] = {"value": found.value, "low": found.low, "high": found.high, "at_least_1": state}
    (setting,) = medians["one"]
    taken = measured.latency["conditions"]
    return {
        "settings": measured.latency["settings"],
        "rows": {
            role: {key: row[key] for key in ("p50_ms", "low_ms", "high_ms", "samples")} for role, row in rows.items()
        },
        "speedups": speedups,
        "ratios": {
            role: [
                round(ratio, 6) for ratio in process_ratios(medians["one"][setting], medians[role][setting], process)
            ]
            for role in speedups
        },
        "process_p50_ms": _process_medians(medians["one"][setting], process),
        "busy_rounds": sum(measured.rounds["busy"]),
        "steal": max((one["steal"] or 0.0 for one in taken), default=0.0),
        "load": measured.latency["surroundings"][0]["before"]["load"],
        "seconds": round(time.monotonic() - begun, 2),
        "ended": round(time.time(), 1),
    }


def _process_medians(rounds: Sequence[float], process: Sequence[int]) -> list[float]:
    """What each process says of one model: the median of its rounds' medians."""
    return [
        round(median(time for time, place in zip(rounds, process, strict=True) if place == number), 6)
        for number in dict.fromkeys(process)
    ]


def append(lines: Path, record: dict[str, Any]) -> None:
    """One line more, behind the rest of a line that a kill cut short."""
    torn = lines.is_file() and not lines.read_bytes().endswith(b"\n") and lines.stat().st_size > 0
    with lines.open("a") as file:
        file.write(("\n" if torn else "") + json.dumps(record) + "\n")


def read(lines: Path) -> list[dict[str, Any]]:
    """All experiments so far; a line that a kill cut short is not counted."""
    found = []
    for line in lines.read_text().splitlines() if lines.is_file() else []:
        with contextlib.suppress(ValueError):
            found.append(json.loads(line))
    return found


if __name__ == "__main__":
    sys.exit(main())
