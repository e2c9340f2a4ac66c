"""The int8 graph: what its numbers are, that integer kernels run it, and that it is the same every time and everywhere."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import Tensor, nn

from compressor.errors import StepError
from compressor.onnx_graph import clean, cost, exporter, operators, parity, session
from compressor.quantization import ptq
from tests.onnx_graph.networks import Chain, settle, signature

Feed = Callable[[int], list[np.ndarray]]


@pytest.fixture(scope="module", params=[7, 8])
def written(
    request: pytest.FixtureRequest, core: Path, feed: Feed, tmp_path_factory: pytest.TempPathFactory
) -> tuple[int, Path]:
    path = tmp_path_factory.mktemp("int8") / "core.onnx"
    ptq.quantize(core, path, feed, weight_bits=request.param)
    return request.param, path


def constants(path: Path) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}


def test_every_convolution_and_product_is_an_integer_kernel(written: tuple[int, Path]) -> None:
    found = operators.count(written[1])
    assert found["precision"] == "int8"
    assert (found["float_convolutions"], found["float_names"]) == (0, [])
    assert found["operators"]["QLinearConv"] == 4
    assert found["operators"]["QGemm"] == 1


def test_it_costs_as_much_as_its_float_self(written: tuple[int, Path], core: Path) -> None:
    assert cost.count(written[1]) == cost.count(core)


def test_weights_have_the_bits_asked_for_and_a_scale_each_channel(written: tuple[int, Path]) -> None:
    bits, path = written
    held = constants(path)
    weights = {name: values for name, values in held.items() if values.dtype == np.int8 and values.ndim >= 2}
    assert len(weights) == 5
    limit = {7: 64, 8: 127}[bits]
    for name, values in weights.items():
        each = np.abs(values.astype(int)).reshape(len(values), -1).max(1)
        assert (each == limit).all(), name
        assert held[name.replace("_quantized", "_scale")].shape == (len(values),)


def test_activations_are_uint8_and_bias_scales_are_input_times_weight(written: tuple[int, Path]) -> None:
    graph, held = onnx.load(written[1]).graph, constants(written[1])
    makers = {name: node for node in graph.node for name in node.output}
    quantizers = [node for node in graph.node if node.op_type == "QuantizeLinear"]
    assert quantizers
    assert all(held[node.input[2]].dtype == np.uint8 for node in quantizers)
    checked = 0
    for node in graph.node:
        if node.op_type in ("Conv", "Gemm"):
            given, weight, bias = (held[makers[name].input[1]] for name in node.input)
            assert np.allclose(bias, given * weight, rtol=1e-6, atol=0), node.name
            checked += 1
    assert checked == 5


def test_outputs_stay_float_so_that_answers_do_not_tie(
    written: tuple[int, Path], core: Path, samples: np.ndarray
) -> None:
    graph = onnx.load(written[1]).graph
    assert next(node for node in graph.node if "logits" in node.output).op_type == "Gemm"
    found, wanted = (session.predict(path, [samples], 1) for path in (written[1], core))
    assert parity.numbers(wanted, found)["sqnr_db"] > {7: 24, 8: 28}[written[0]]


def test_nothing_in_the_file_tells_who_made_it(written: tuple[int, Path]) -> None:
    model = onnx.load(written[1])
    assert not model.metadata_props
    assert [entry.domain for entry in model.opset_import] == [""]
    assert all(not node.metadata_props and not node.doc_string for node in model.graph.node)
    assert all(word not in written[1].read_bytes() for word in (b"/tmp", b"onnx.quantize", b"onnx.infer"))


class _Reader(CalibrationDataReader):
    def __init__(self, batches: list[np.ndarray]) -> None:
        self.batches: Iterator[np.ndarray] = iter(batches)

    def get_next(self) -> dict[str, np.ndarray] | None:
        batch = next(self.batches, None)
        return None if batch is None else {"input": batch}


def test_without_additions_minmax_is_what_onnxruntimes_own_tool_writes(
    feed: Feed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    core = tmp_path / "core.onnx"
    torch.manual_seed(0)
    exporter.export_core(settle(Chain()), signature(), core, 21)
    monkeypatch.setattr(ptq, "_leave_output_float", lambda graph: None)
    ptq.quantize(core, tmp_path / "ours.onnx", feed)
    quant_pre_process(str(core), str(tmp_path / "prepared.onnx"), skip_symbolic_shape=True)
    quantize_static(
        tmp_path / "prepared.onnx", tmp_path / "theirs.onnx", _Reader(feed(10)), quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, per_channel=True, reduce_range=True,
    )  # fmt: skip
    theirs = onnx.load(tmp_path / "theirs.onnx")
    clean.strip(theirs)
    theirs.graph.name = "core"
    assert theirs.SerializeToString(deterministic=True) == (tmp_path / "ours.onnx").read_bytes()


@pytest.mark.parametrize("method", ["percentile", "mse"])
def test_other_calibrations_give_other_ranges_and_the_same_kernels(
    method: ptq.Method, core: Path, feed: Feed, tmp_path: Path
) -> None:
    ptq.quantize(core, tmp_path / "a.onnx", feed, method=method)
    ptq.quantize(core, tmp_path / "b.onnx", feed)
    assert operators.count(tmp_path / "a.onnx") == operators.count(tmp_path / "b.onnx")
    assert (tmp_path / "a.onnx").read_bytes() != (tmp_path / "b.onnx").read_bytes()


class _Up(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(3, 4, 2, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.up(x).mean((2, 3))


def test_a_layer_without_integer_kernel_fails_by_name_with_the_reason(tmp_path: Path, feed: Feed) -> None:
    torch.manual_seed(0)
    exporter.export_core(_Up().eval(), signature(), tmp_path / "core.onnx", 21)
    with pytest.raises(StepError) as told:
        ptq.quantize(tmp_path / "core.onnx", tmp_path / "int8.onnx", feed)
    assert told.value.what == (
        "`up` would still run in float: onnxruntime has no integer kernel for transposed convolutions on CPUs"
    )


@pytest.mark.parametrize("entry", ["ConvTranspose", "up"])
def test_what_may_stay_float_does_and_nothing_else(entry: str, tmp_path: Path, feed: Feed) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 3, 3), _Up()).eval()
    exporter.export_core(model, signature(), tmp_path / "core.onnx", 21)
    allowed = entry if entry == "ConvTranspose" else "1.up"
    ptq.quantize(tmp_path / "core.onnx", tmp_path / "int8.onnx", feed, allow_float=[allowed])
    found = operators.count(tmp_path / "int8.onnx")
    assert (found["precision"], found["float_convolutions"]) == ("mixed", 1)
    assert found["operators"]["QLinearConv"] == 1
    with pytest.raises(StepError, match="allow_float names `Einsum`, and the graph has no such operator or layer"):
        ptq.quantize(tmp_path / "core.onnx", tmp_path / "int8.onnx", feed, allow_float=["Einsum"])


def test_activations_that_are_no_numbers_fail_by_name(core: Path, samples: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(StepError, match="the activations of `input` are not finite"):
        ptq.quantize(core, tmp_path / "int8.onnx", lambda size: [samples * np.inf])


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("qemu-x86_64") is None, reason="needs qemu-user")
def test_seven_bits_answer_alike_without_vnni_and_eight_do_not(tmp_path: Path) -> None:
    """A Haswell adds pairs of 8-bit products in 16 bits: with weights of 7 bits no pair can overflow."""
    hard = _saturating(tmp_path)
    samples = np.full((8, 16, 6, 6), 1.0, np.float32)
    samples[1::2] += np.random.default_rng(0).uniform(-0.3, 0, (4, 16, 6, 6)).astype(np.float32)
    np.save(tmp_path / "samples.npy", samples)
    code = """
import sys, numpy as np, onnxruntime as ort
samples = np.load(sys.argv[1] + "/samples.npy")
for bits in ("7", "8"):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(f"{sys.argv[1]}/int8-{bits}.onnx", options, providers=["CPUExecutionProvider"])
    np.save(f"{sys.argv[1]}/{bits}.npy", session.run(None, {"input": samples})[0])
"""
    for bits in (7, 8):
        ptq.quantize(hard, tmp_path / f"int8-{bits}.onnx", lambda size: [samples], weight_bits=bits)
    haswell = ["qemu-x86_64", "-cpu", "Haswell", sys.executable, "-c", code, str(tmp_path)]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OPENBLAS_CORETYPE": "Haswell"}
    subprocess.run(haswell, env=environment, check=True, capture_output=True)
    here = {bits: session.predict(tmp_path / f"int8-{bits}.onnx", [samples], 1) for bits in (7, 8)}
    assert np.array_equal(here[7], np.load(tmp_path / "7.npy"))
    assert not np.array_equal(here[8], np.load(tmp_path / "8.npy"))


def _saturating(folder: Path) -> Path:
    """A convolution whose neighbouring products are all as large as they can be: 255 * 127 twice is beyond 16 bits."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(16, 16, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 4)
    )
    with torch.no_grad():
        model[0].weight.fill_(0.5)
        model[0].weight.add_(0.001 * torch.rand_like(model[0].weight))
    path = folder / "hard.onnx"
    exporter.export_core(model.eval(), signature((16, 6, 6)), path, 21)
    return path
