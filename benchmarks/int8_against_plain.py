"""Whether our int8 files run as fast as those that plain `quantize_static` makes of the same float graphs.

    python benchmarks/int8_against_plain.py PIPELINE [--store DIR] [--processes 20]

Runs the pipeline (what is in the store is reused), quantizes the float graph behind each of its `quantize` steps
plainly (uint8 activations, int8 weights of 7 bits per channel, MinMax on the same samples) and times all of them in the
same rounds of the same processes, one thread. Writes benchmarks/results/int8_against_plain/NAME.json.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

import compressor
from compressor.latency import experiment
from compressor.onnx_graph import operators
from compressor.pipeline.plan.node import Node
from compressor.pipeline.plan.prepare import Prepared, Request, prepare
from compressor.problem.batch import only
from compressor.statistics import ratio_interval

RESULTS = Path(__file__).resolve().parent / "results" / "int8_against_plain"


class Reader(CalibrationDataReader):  # type: ignore[misc]
    """The calibration samples one by one, as `quantize_static` asks for them."""

    def __init__(self, name: str, samples: Iterator[np.ndarray]) -> None:
        self.feeds = ({name: sample} for sample in samples)

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self.feeds, None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pipeline", type=Path)
    parser.add_argument("--store", type=Path)
    parser.add_argument("--processes", type=int, default=20)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        compressor.run(arguments.pipeline, out=Path(scratch) / "run", store=arguments.store)
        prepared = prepare(Request(path=arguments.pipeline, store=arguments.store))
        models = {}
        for node in prepared.plan.nodes:
            if node.stage.name == "quantize":
                models[node.name] = core(prepared, node.name)
                models[f"plain of {node.name}"] = plain(prepared, node, Path(scratch) / f"{node.name}.onnx")
        found = timed(models, arguments.processes)
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{prepared.pipeline.name}.json").write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


def core(prepared: Prepared, step: str) -> Path:
    """The graph of a step as it was evaluated."""
    return prepared.store.open(prepared.plan.node(f"{step}.evaluation").key).file("core.onnx")


def plain(prepared: Prepared, node: Node, path: Path) -> Path:
    """What `quantize_static` makes of the float graph that the step began with."""
    spec: Any = node.spec
    task = prepared.pipeline.task.make(prepared.pipeline.base, declared=prepared.declared())
    batches = task.batches("train", 1, limit=spec.calibration_samples)
    cleaned = path.with_suffix(".clean.onnx")
    quant_pre_process(str(core(prepared, spec.from_)), str(cleaned), skip_symbolic_shape=True)
    quantize_static(
        str(cleaned),
        str(path),
        Reader(task.signature.inputs[0].name, (only(batch.inputs).numpy() for batch in batches)),
        quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        per_channel=True,
        reduce_range=True,
    )
    return path


def timed(models: dict[str, Path], processes: int) -> dict[str, Any]:
    """For each of our files how many times as long as the plain one it takes, with the 95 % interval."""
    shas = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in models.items()}
    wanted = [experiment.Model(shas[name], path, name) for name, path in models.items()]
    settings = experiment.Settings(threads=(1,), processes=processes, rounds=3 * processes, min_seconds=3)
    measured = experiment.measure(wanted, settings)
    medians = {name: measured.rounds[sha]["1x1"] for name, sha in shas.items()}
    pairs = {name: f"plain of {name}" for name in models if f"plain of {name}" in models}
    process = measured.rounds["process"]
    ratios = {name: ratio_interval(medians[name], medians[other], process) for name, other in pairs.items()}
    return {
        "question": "time of our int8 file over that of quantize_static's, batch 1, one thread, by process",
        "ratios": {name: {"value": one.value, "low": one.low, "high": one.high} for name, one in ratios.items()},
        "p50_ms": {name: measured.latency["rows"][sha][0]["p50_ms"] for name, sha in shas.items()},
        "operators": {name: operators.count(path)["operators"] for name, path in models.items()},
        "processes": processes,
        "machine": measured.latency["machine"],
    }


if __name__ == "__main__":
    main()
