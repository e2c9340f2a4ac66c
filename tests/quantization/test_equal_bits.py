"""On emulated CPUs: every node that rounds between bytes over all its inputs, and a whole graph, against this machine."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from compressor.onnx_graph import bits, exporter, session
from compressor.quantization import ptq
from tests.onnx_graph.networks import settle, signature
from tests.quantization.test_additions import Residual

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks" / "equal_bits"
EMULATORS = "COMPRESS_EMULATORS"
RUN = """
import sys, numpy as np, onnxruntime as ort
options = ort.SessionOptions()
options.intra_op_num_threads = 1
session = ort.InferenceSession(sys.argv[1] + "/int8.onnx", options, providers=["CPUExecutionProvider"])
np.save(sys.argv[1] + "/there.npy", session.run(None, {"input": np.load(sys.argv[1] + "/samples.npy")})[0])
"""


def load(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FOLDER))
    spec = importlib.util.spec_from_file_location(f"equal_bits_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.parametrize("cpu", ["haswell", "cortex-a53", "cortex-a76"])
def test_a_residual_network_gives_the_same_bits(
    cpu: str, tmp_path: Path, feed: ptq.Samples, samples: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = "qemu-x86_64" if cpu == "haswell" else "qemu-aarch64"
    if shutil.which(needed) is None or (cpu != "haswell" and not os.environ.get(EMULATORS)):
        pytest.skip(f"needs {needed}, and for Arm {EMULATORS}: the folder that benchmarks/equal_bits/setup.sh made")
    nodes, run = load("nodes", monkeypatch), load("run", monkeypatch)
    torch.manual_seed(0)
    exporter.export_core(settle(Residual()), signature(), tmp_path / "core.onnx", 21)
    ptq.quantize(tmp_path / "core.onnx", tmp_path / "int8.onnx", feed)
    assert bits.judge(tmp_path / "int8.onnx")["proven"]
    assert nodes.collect(tmp_path / "int8.onnx", tmp_path / "int8.nodes.onnx") > 5 * 65536
    np.save(tmp_path / "samples.npy", samples[:4])
    python, more = run.command(cpu, Path(os.environ.get(EMULATORS, tmp_path)))
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", **more}
    outputs = []
    for command in ([sys.executable], python):
        subprocess.run(
            [*command, str(FOLDER / "nodes.py"), str(tmp_path)], env=environment, check=True, capture_output=True
        )
        with np.load(tmp_path / "out" / "int8.npz") as stored:
            outputs.append([stored[name] for name in stored.files])
    for here, there in zip(*outputs, strict=True):
        assert np.array_equal(here, there)
    subprocess.run([*python, "-c", RUN, str(tmp_path)], env=environment, check=True, capture_output=True)
    assert np.array_equal(session.predict(tmp_path / "int8.onnx", [samples[:4]], 1), np.load(tmp_path / "there.npy"))


def test_networks_without_a_row_are_named_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = load("run", monkeypatch)
    monkeypatch.setattr(run, "RESULTS", tmp_path)
    monkeypatch.setattr(run, "NETWORKS", {"a": {}, "b": {}, "c": {}})
    bits_of = {"proven": True, "because": []}
    row = {"name": "a", "bits": bits_of, "tolerance": 0, "largest_output": 1, "nodes": 2, "inputs": 3, "cpus": {}}
    run.write([row], {"b": "no operator"})
    told = (tmp_path / "README.md").read_text().splitlines()
    assert told[-2:] == ["- `b` has no row: no operator", "- `c` has no row: left out of this run (`--only`)"]
