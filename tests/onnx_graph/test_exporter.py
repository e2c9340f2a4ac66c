"""The float core graph: what it computes, what it is called, that it is the same every time, and what cannot be written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from compressor.errors import StepError
from compressor.onnx_graph import exporter, session
from compressor.quantization import ptq
from tests.onnx_graph.networks import net, signature


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("core") / "core.onnx"
    assert exporter.export_core(net(), signature(), path, 21) == 0
    return path


def test_it_computes_what_torch_does_at_any_batch_size(exported: Path) -> None:
    samples = torch.randn(6, 3, 12, 12, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        wanted = net()(samples).numpy()
    for size in (1, 2, 6):
        found = session.predict(exported, np.split(samples.numpy(), 6 // size), 1)
        assert np.allclose(found, wanted, atol=1e-5), size


def test_names_shapes_and_opset_are_the_tasks(exported: Path) -> None:
    graph = onnx.load(exported).graph
    (given,), (made,) = graph.input, graph.output
    assert (given.name, made.name) == ("input", "logits")
    shapes = [[dim.dim_param or dim.dim_value for dim in port.type.tensor_type.shape.dim] for port in (given, made)]
    assert shapes == [["batch", 3, 12, 12], ["batch", 4]]
    assert onnx.load(exported).opset_import[0].version == 21


def test_batch_norms_are_folded_and_nodes_are_called_as_their_modules(exported: Path) -> None:
    nodes = {node.name: node.op_type for node in onnx.load(exported).graph.node}
    assert "BatchNormalization" not in nodes.values()
    wanted = {"stem.0": "Conv", "depthwise": "Conv", "grouped": "Conv", "narrow": "Conv", "head": "Gemm"}
    assert wanted.items() <= nodes.items()
    assert len(nodes) == len(onnx.load(exported).graph.node)


def test_nothing_in_the_file_tells_who_made_it(exported: Path) -> None:
    model = onnx.load(exported)
    held = exported.read_bytes()
    for word in (str(Path(__file__).parent), ".py", "torch", "pkg.", os.uname().nodename):
        assert word.encode() not in held, word
    assert not model.metadata_props
    assert not model.graph.value_info
    assert all(not node.doc_string and not node.metadata_props for node in model.graph.node)


def test_a_second_export_in_this_process_has_the_same_bytes(exported: Path, tmp_path: Path) -> None:
    exporter.export_core(net(), signature(), tmp_path / "again.onnx", 21)
    assert (tmp_path / "again.onnx").read_bytes() == exported.read_bytes()


@pytest.mark.slow
def test_another_process_writes_the_same_bytes_float_and_int8(exported: Path, tmp_path: Path) -> None:
    code = """
import sys, pathlib, numpy as np
from compressor.onnx_graph import exporter
from compressor.quantization import ptq
from tests.onnx_graph.networks import net, signature
folder = pathlib.Path(sys.argv[1])
exporter.export_core(net(), signature(), folder / "a.onnx", 21)
samples = np.random.default_rng(0).normal(size=(32, 3, 12, 12)).astype(np.float32)
ptq.quantize(folder / "a.onnx", folder / "b.onnx", lambda size: [samples])
"""
    environment = {**os.environ, "PYTHONHASHSEED": "77"}
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], env=environment, check=True)
    samples = np.random.default_rng(0).normal(size=(32, 3, 12, 12)).astype(np.float32)
    ptq.quantize(exported, tmp_path / "here.onnx", lambda size: [samples])
    assert (tmp_path / "a.onnx").read_bytes() == exported.read_bytes()
    assert (tmp_path / "b.onnx").read_bytes() == (tmp_path / "here.onnx").read_bytes()


def test_the_network_given_is_left_as_it_was(tmp_path: Path) -> None:
    model = net().train()
    exporter.export_core(model, signature(), tmp_path / "core.onnx", 21)
    assert model.training


def test_nothing_is_printed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    exporter.export_core(net(), signature(), tmp_path / "core.onnx", 18)
    assert capfd.readouterr() == ("", "")
    assert not recwarn.list


def test_weights_too_small_for_full_precision_become_zero_and_are_counted(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Flatten())
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([1e-40, 0.5]).view(2, 1, 1, 1))
        model[0].bias.copy_(torch.tensor([-1e-39, 0.0]))
    assert exporter.export_core(model, signature((1, 1, 1), 2), tmp_path / "core.onnx", 21) == 2
    held = [
        onnx.numpy_helper.to_array(tensor).ravel() for tensor in onnx.load(tmp_path / "core.onnx").graph.initializer
    ]
    values = np.concatenate([values for values in held if values.dtype == np.float32])
    assert sorted(values) == [0, 0, 0, 0.5]


def test_an_opset_that_torch_does_not_write_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StepError, match=r"in opset 18, not in 17; set onnx\.opset to 18"):
        exporter.export_core(net(), signature(), tmp_path / "core.onnx", 17)


class _Exponential(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.linalg.matrix_exp(x.unsqueeze(2) * x.unsqueeze(1)).sum(2)


class _Branch(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)[:, :4] if x.sum() > 0 else x.flatten(1)[:, 1:5]


class _Lengths(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.zeros(len(x), 4) + x.flatten(1)[:, :4]


class _Distances(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return -torch.cdist(x.flatten(1), torch.ones(4, x[0].numel()))


class _FixedBatch(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(2, -1)[:, :4]


class _FiveClasses(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)[:, :5]


class _ItemBranch(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = x.mean((2, 3))
        return self.first(x * 2 if x.sum().item() > 0 else x)


class _Inner(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.odd = _Exponential()

    def forward(self, x: Tensor) -> Tensor:
        return self.odd(self.first(x.mean((2, 3))))


class _Attention(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.scaled_dot_product_attention(x, x, x)


class _Attending(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.look = _Attention()

    def forward(self, x: Tensor) -> Tensor:
        return self.look(x.flatten(2)).mean(2)[:, :4]


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (
            _Attending(),
            "operator `aten.scaled_dot_product_attention` in module `look (_Attention)` cannot be written as",
        ),
        (_Inner(), "operator `aten.linalg_matrix_exp` in module `odd (_Exponential)` has no form in ONNX"),
        (_Branch(), "the network cannot be traced"),
        (_ItemBranch(), "control flow that depends on the values of tensors"),
        (_FixedBatch(), "fixed batch size"),
        (_Lengths(), "in place of `len(x)`"),
        (_Distances(), "another path for some sizes of the batch"),
        (_FiveClasses(), "('logits', 'float32', ('batch', 5))"),
    ],
)
def test_what_cannot_be_written_is_said_with_its_place(model: nn.Module, words: str, tmp_path: Path) -> None:
    with pytest.raises(StepError) as told:
        exporter.export_core(model, signature(), tmp_path / "core.onnx", 21)
    assert words in told.value.sentence()
    assert not (tmp_path / "core.onnx").exists()
