"""What distillation gives over plain training of the same student: paired, with several seeds.

    python benchmarks/distillation_gain/run.py [--seeds 0 1 2] [--store DIR]

Writes benchmarks/results/distillation_gain/: the report of each seed, and gain.json. Resumable: steps that are in
the store are not trained again, and one that was interrupted goes on from its last checkpoint.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import statistics
import tempfile
from pathlib import Path

import yaml

import compressor
from compressor.report.contract.report import Report

HERE = Path(__file__).resolve().parent
RESULTS = HERE.parent / "results" / "distillation_gain"
T_975 = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}
"""Student's t, 97.5 %, by degrees of freedom."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--store", type=Path)
    arguments = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        for seed in arguments.seeds:
            out = Path(scratch) / str(seed)
            report = compressor.run(HERE / "pipeline.yaml", out=out, store=arguments.store, sets=[f"seed={seed}"])
            shutil.copyfile(out / "report.json", RESULTS / f"seed-{seed}.json")
            plain, student = report.row("plain"), report.row("student")
            assert plain and student and plain.quality and student.quality and student.against_baseline
            drop = student.against_baseline["accuracy"]
            rows.append(
                {
                    "seed": seed,
                    "plain": plain.quality["accuracy"].value,
                    "distilled": student.quality["accuracy"].value,
                    "gain": -drop.drop,
                    "gain_low": None if drop.high is None else -drop.high,
                    "gain_high": None if drop.low is None else -drop.low,
                }
            )
            print(json.dumps(rows[-1]), flush=True)
    gains = [row["gain"] for row in rows]
    result = {
        "question": question(report),
        "seeds": rows,
        "mean_gain": statistics.mean(gains),
        "interval_95": interval(gains),
        "how": "paired over seeds, Student's t; each seed's own interval is Tango's, over the same test samples",
    }
    (RESULTS / "gain.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


def question(report: Report) -> str:
    """What the figures are of, in the words of the pipeline that was run."""
    steps = yaml.safe_load(report.pipeline.text)["steps"]
    student, teacher = steps["student"], steps["teacher"]
    return (
        f"accuracy on the whole CIFAR-10 test set, distilled minus plain, of {student['model']} taught by "
        f"{teacher['model']}, {student['epochs']} epochs each, the same seed"
    )


def interval(gains: list[float]) -> list[float] | None:
    """The 95 % interval of the mean of paired gains; None for a single seed."""
    if len(gains) < 2:
        return None
    half = T_975[len(gains) - 1] * statistics.stdev(gains) / math.sqrt(len(gains))
    return [statistics.mean(gains) - half, statistics.mean(gains) + half]


if __name__ == "__main__":
    main()
