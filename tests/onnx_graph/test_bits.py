"""Which operators are proven, by name, in graphs as onnxruntime runs them; and what another CPU's answers may be off by."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper
from torch import Tensor, nn

from compressor.onnx_graph import bits, exporter, session
from compressor.onnx_graph.allowance import Allowance, allowance
from compressor.quantization import ptq
from tests.onnx_graph.networks import net, settle, signature

PROVEN = {"proven": True, "because": []}


def quantized(model: nn.Module, folder: Path, *, weight_bits: int = 7) -> Path:
    random = np.random.default_rng(0)
    exporter.export_core(settle(model), signature(), folder / "core.onnx", 21)
    samples = random.normal(size=(24, 3, 12, 12)).astype(np.float32)
    ptq.quantize(folder / "core.onnx", folder / "int8.onnx", lambda size: [samples], weight_bits=weight_bits)
    return folder / "int8.onnx"


@pytest.mark.parametrize(
    ("operator", "told"),
    [
        ("LayerNormalization", "layer_norm"), ("BatchNormalization", "batch_norm"), ("NhwcFusedConv", "conv"),
        ("FusedConv", "conv"), ("QLinearConv", "qlinear_conv"), ("QGemm", "qgemm"), ("ReduceMean", "reduce_mean"),
        ("QLinearGlobalAveragePool", "qlinear_global_average_pool"), ("Gelu", "gelu"), ("NchwcConv", "conv"),
        ("LSTM", "lstm"), ("Weird<op>\n", "weird_op__"),
    ],
)  # fmt: skip
def test_operators_have_plain_names(operator: str, told: str) -> None:
    assert bits.word(operator) == told


def test_a_network_of_integer_kernels_with_an_addition_is_proven(tmp_path: Path) -> None:
    path = quantized(net(), tmp_path)
    assert bits.judge(path) == PROVEN
    assert bits.sentence(PROVEN) == "bits: proven"
    samples = np.random.default_rng(1).normal(size=(4, 3, 12, 12)).astype(np.float32)
    assert allowance(path, samples, session.predict(path, [samples], 1)) == Allowance(0, 0)


def test_a_float_network_names_its_products_and_eight_bits_are_named(tmp_path: Path) -> None:
    path = quantized(net(), tmp_path, weight_bits=8)
    assert bits.judge(path)["because"] == ["qlinear_conv (8-bit weights)", "qgemm (8-bit weights)"]
    found = bits.judge(tmp_path / "core.onnx")
    assert not found["proven"]
    assert {"conv (float)", "gemm (float)"} <= set(found["because"])
    assert bits.sentence(found).startswith("bits: not proven, because conv (float), ")


class _Gated(nn.Module):
    """What MobileNetV3 has: hard swish, an average, a gate, multiplications, and an addition."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 4, stride=4), nn.Conv2d(8, 8, 3, padding=1)
        self.gate, self.head = nn.Conv2d(8, 8, 1), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.hardswish(self.first(x))
        y = self.second(x)
        y = y * torch.sigmoid(self.gate(y.mean((2, 3), keepdim=True)))
        return self.head((x + y).mean((2, 3)))


def test_averages_gates_and_products_beside_an_addition_are_made_safe(tmp_path: Path) -> None:
    torch.manual_seed(0)
    assert bits.judge(quantized(_Gated(), tmp_path)) == PROVEN


class _Normed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 8, 3, padding=1), nn.LayerNorm(8)
        self.second, self.head = nn.Linear(8, 8), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).flatten(2).transpose(1, 2)
        return self.head((x + self.second(self.norm(x))).mean(1))


def test_float_islands_are_named_and_allow_a_little_but_no_altered_weight(tmp_path: Path) -> None:
    torch.manual_seed(0)
    path = quantized(_Normed(), tmp_path)
    assert "layer_norm (float)" in bits.judge(path)["because"]
    samples = np.random.default_rng(1).normal(size=(8, 3, 12, 12)).astype(np.float32)
    outputs = session.predict(path, [samples], 1)
    allowed = allowance(path, samples, outputs)
    assert 0 < allowed.median <= allowed.largest < 0.05 * np.abs(outputs).max()
    assert allowance(path, samples, outputs) == allowed
    each = _altered(path, samples, outputs, places=[3, 11, 40])
    assert each.max() > allowed.largest
    assert np.median(each) > 10 * allowed.median


def _altered(path: Path, samples: np.ndarray, outputs: np.ndarray, places: Sequence[int]) -> np.ndarray:
    """How far each sample's outputs go when the largest of the int8 weights change their signs at some places."""
    model = onnx.load(path)
    tensor = max(
        (one for one in model.graph.initializer if one.data_type == onnx.TensorProto.INT8),
        key=lambda one: np.prod(one.dims),
    )
    values = numpy_helper.to_array(tensor).copy()
    for place in places:
        values.reshape(-1)[place] = 64 if values.reshape(-1)[place] < 0 else -64
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    onnx.save(model, path.with_name("altered.onnx"))
    return np.asarray(np.abs(session.predict(path.with_name("altered.onnx"), [samples], 1) - outputs).max(1))


@pytest.mark.parametrize("opset", [18, 21, 22, 23])
def test_a_float_network_allows_the_last_digits(opset: int, tmp_path: Path) -> None:
    exporter.export_core(net(), signature(), tmp_path / "core.onnx", opset)
    samples = np.random.default_rng(1).normal(size=(8, 3, 12, 12)).astype(np.float32)
    outputs = session.predict(tmp_path / "core.onnx", [samples], 1)
    allowed = allowance(tmp_path / "core.onnx", samples, outputs)
    assert 1e-7 * np.abs(outputs).max() < allowed.median <= allowed.largest < 1e-4 * np.abs(outputs).max()


def test_averages_are_counted_by_their_own_names_and_known_sizes(tmp_path: Path) -> None:
    """Two nodes without a name, or with one for both, could be taken for each other; an open size is no count."""
    nodes = [
        helper.make_node("GlobalAveragePool", ["x"], ["a"], name="pool"),
        helper.make_node("ReduceMean", ["x", "axes"], ["b"], name="rows"),
        helper.make_node("ReduceMean", ["x", "axes"], ["c"]),
        helper.make_node("ReduceMean", ["x", "axes"], ["d"], name="twice"),
        helper.make_node("ReduceMean", ["x", "axes"], ["e"], name="twice"),
        helper.make_node("GlobalAveragePool", ["open"], ["f"], name="open"),
    ]
    ports = [
        helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["batch", 2, 3, 5]),
        helper.make_tensor_value_info("open", onnx.TensorProto.FLOAT, ["batch", 2, "height", 5]),
    ]
    held = [numpy_helper.from_array(np.array([3], np.int64), "axes")]
    ends = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in "abcdef"]
    graph = helper.make_graph(nodes, "g", ports, ends, held)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), tmp_path / "m.onnx")
    assert bits.spatial_counts(tmp_path / "m.onnx") == {"pool": 15, "rows": 5}


def test_resizing_bytes_is_exact_by_copying_and_not_by_interpolating(tmp_path: Path) -> None:
    for mode, told in (("nearest", PROVEN), ("linear", {"proven": False, "because": ["resize (float)"]})):
        node = helper.make_node("Resize", ["x", "", "by"], ["y"], mode=mode)
        ports = [helper.make_tensor_value_info(name, onnx.TensorProto.UINT8, [1, 1, None, None]) for name in "xy"]
        held = [numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "by")]
        graph = helper.make_graph([node], "g", ports[:1], ports[1:], held)
        onnx.save(
            helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), tmp_path / "r.onnx"
        )
        assert bits.judge(tmp_path / "r.onnx") == told
