"""Writes a float core graph as an int8 one (QDQ) that onnxruntime runs in integer kernels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationMethod, QuantType
from onnxruntime.quantization.calibrate import TensorsData
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer
from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry
from onnxruntime.quantization.shape_inference import quant_pre_process

from compressor import unfinished
from compressor.errors import StepError
from compressor.onnx_graph import bits, clean, links, operators
from compressor.onnx_graph.ties import Grid
from compressor.quantization import additions, averages, head
from compressor.quantization.calibration import Method, Ranges, Samples, activation_ranges

Scales = Mapping[str, Grid]
_MEANT_FOR_INTEGERS = frozenset(
    {"Conv", "FusedConv", "NhwcConv", "NhwcFusedConv", "NchwcConv", "ConvTranspose"}
    | {"Gemm", "FusedGemm", "MatMul", "FusedMatMul", "TransposeMatMul"}
)
"""What this quantizer turns into integer kernels, in every form that onnxruntime gives to what was left in float."""
HOLDS_ON = {
    7: "weights of 7 bits: no CPU saturates sums, with or without VNNI",
    8: "weights of 8 bits: this quality holds on CPUs with VNNI, AMX or Arm's dot product; "
    "x86 CPUs without VNNI saturate sums and answer otherwise",
}


def quantize(
    core: Path,
    path: Path,
    samples: Samples,
    *,
    method: Method = "minmax",
    weight_bits: int = 7,
    threads: int = 1,
    advance: Callable[[int], None] | None = None,
    allow_float: Sequence[str] = (),
    probabilities: bool = False,
) -> None:
    """Writes the int8 form of the float graph `core` to `path`.

    Activations are uint8 per tensor, weights int8 symmetric per output channel, biases int32 with the scale
    input scale x weight scale; outputs made by a matrix product stay float. Scales of tensors that are added are moved
    by some hundredths of a percent, see `additions`. samples: see `calibration.activation_ranges`.
    allow_float: operators, and layers by their names in the network, that may stay float where they must.
    probabilities: the graph ends in a softmax, a sigmoid or a logarithm of one, which stays float then.
    Equal inputs give equal bytes.
    Errors: StepError naming a convolution or Gemm that stayed in float, and why, or what is allowed and not there.
    """
    with unfinished.folder() as folder, clean.quiet():
        prepared = folder / "prepared.onnx"
        quant_pre_process(str(core), str(prepared), skip_symbolic_shape=True)
        ranges = activation_ranges(prepared, samples, method, threads, advance)
        _check_finite(ranges)
        left = _left(onnx.load(prepared).graph, allow_float)
        behind = head.names(onnx.load(prepared).graph) if probabilities else []
        model = _without_ties(lambda scales: _write(onnx.load(prepared), ranges, weight_bits, scales, behind), prepared)
    head.leave_float(model.graph, behind)
    _leave_output_float(model.graph)
    clean.strip(model)
    model.graph.name = "core"
    clean.save(model, path, "")
    _check_kernels(core, path, left, allow_float)


def _check_finite(ranges: Ranges) -> None:
    for name, bounds in ranges.items():
        if not np.isfinite(bounds).all():
            raise StepError(
                "",
                f"the activations of `{name}` are not finite numbers on the calibration samples",
                "train the network with a lower learning rate",
            )


def _without_ties(write: Callable[[Scales], onnx.ModelProto], prepared: Path) -> onnx.ModelProto:
    """The graph with the observed scales, or with chosen ones where it has additions that could round on a tie."""
    model = write({})
    observed, known = additions.grids(model.graph), additions.find(model.graph)
    if not known:
        return model
    chosen = additions.choose(known, observed)
    grids = {name: replace(grid, scale=chosen.get(name, grid.scale)) for name, grid in observed.items()}
    added = {name for one in known for name in (one.a, one.b, one.out)}
    roundings = averages.find(model.graph, bits.spatial_counts(prepared))
    chosen |= averages.settle(roundings, grids, added)
    suffix = "_scale"  # what the quantizer calls the scale of a tensor
    return write({name.removesuffix(suffix): Grid(scale, observed[name].zero) for name, scale in chosen.items()})


def _write(
    model: onnx.ModelProto, ranges: Ranges, weight_bits: int, scales: Scales, behind: Sequence[str]
) -> onnx.ModelProto:
    """behind: names of nodes that stay float. scales: those of tensors that do not follow from their ranges. Biases
    and their scales follow from them."""
    bounds = {name: (np.array(low, np.float32), np.array(high, np.float32)) for name, (low, high) in ranges.items()}
    quantizer = QDQQuantizer(
        model,
        per_channel=True,
        reduce_range=weight_bits == 7,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QUInt8,
        tensors_range=TensorsData(CalibrationMethod.MinMax, bounds),
        nodes_to_quantize=[],
        nodes_to_exclude=list(behind),
        op_types_to_quantize=sorted({*QDQRegistry, *QLinearOpsRegistry}),
        extra_options={"TensorQuantOverrides": _overrides(scales)} if scales else {},
    )
    quantizer.quantize_model()
    quantizer.model.topological_sort()
    written: onnx.ModelProto = quantizer.model.model
    return written


def _overrides(scales: Scales) -> dict[str, list[dict[str, np.ndarray]]]:
    return {
        name: [{"scale": np.array(grid.scale, np.float32), "zero_point": np.array(grid.zero, np.uint8)}]
        for name, grid in scales.items()
    }


def _leave_output_float(graph: onnx.GraphProto) -> None:
    """Takes the last rounding away: the network's outputs are for reading, and 256 levels would make ties of them."""
    makers = links.makers(graph)
    users = [name for node in graph.node for name in node.input]
    for output in graph.output:
        last = makers.get(output.name)
        if last is None or last.op_type != "DequantizeLinear" or output.name in users:
            continue
        rounding = makers.get(last.input[0])
        if rounding is None or rounding.op_type != "QuantizeLinear" or users.count(last.input[0]) > 1:
            continue
        source = makers.get(rounding.input[0])
        if source is None or source.op_type not in ("Gemm", "MatMul") or users.count(rounding.input[0]) > 1:
            continue
        source.output[list(source.output).index(rounding.input[0])] = output.name
        graph.node.remove(last)
        graph.node.remove(rounding)
    _drop_unused(graph)


def _drop_unused(graph: onnx.GraphProto) -> None:
    used = {name for node in graph.node for name in node.input}
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in used]:
        graph.initializer.remove(tensor)


def _left(graph: onnx.GraphProto, allow_float: Sequence[str]) -> list[onnx.NodeProto]:
    """The nodes that may stay float: of these operators, or in these layers."""
    left: list[onnx.NodeProto] = []
    for entry in allow_float:
        found = [node for node in graph.node if node.op_type == entry or f"{node.name}.".startswith(f"{entry}.")]
        if not found:
            what = f"allow_float names `{entry}`, and the graph has no such operator or layer"
            raise StepError("", what, "leave it out")
        left += [node for node in found if node not in left]
    return left


def _check_kernels(core: Path, path: Path, allowed: Sequence[onnx.NodeProto], allow_float: Sequence[str]) -> None:
    """A convolution or product that runs in float though nobody asked for it fails the step, and so does what nobody
    can judge. What has no integer form at all (a recurrent layer, attention) stays float."""
    found = operators.look(path)
    unknown = [one for one in found.unknown if one[1] not in allow_float]
    if unknown:
        name, operator = unknown[0]
        raise StepError(
            "",
            f"nobody here can say whether `{operator}` (`{name}`) computes in integers",
            f"replace that operator, or write allow_float: [{operator}]",
        )
    left = [name for name, operator in found.floats if operator in _MEANT_FOR_INTEGERS]
    # onnxruntime renames what it fuses, so that those that may be there are counted and not called by name.
    if len(left) <= sum(node.op_type in _MEANT_FOR_INTEGERS for node in allowed):
        return
    left = [name for name in left if name not in {node.name for node in allowed}]
    name = left[0]
    raise StepError(
        "",
        f"`{name}`{_others(left)} would still run in float: {_reason(core, path, name)}",
        f"change that layer, write allow_float: [{name}], or leave this network in float",
    )


def _others(names: list[str]) -> str:
    return f" and {len(names) - 1} more" if len(names) > 1 else ""


def _reason(core: Path, path: Path, name: str) -> str:
    """Why onnxruntime has no integer kernel for the node, as far as the graph tells."""
    graph = onnx.load(path).graph
    node = next((node for node in graph.node if node.name == name), None)
    if node is None:
        return "onnxruntime did not fuse it with the rounding around it"
    if node.op_type == "ConvTranspose":
        return "onnxruntime has no integer kernel for transposed convolutions on CPUs"
    weights = {tensor.name for tensor in onnx.load(core).graph.initializer}
    second = links.makers(graph).get(node.input[1])
    if second is None or second.op_type != "DequantizeLinear":
        known = node.input[1] in weights
        return "its weights were not quantized" if known else "its second operand is no constant weight"
    return f"onnxruntime has no integer kernel for this form of {node.op_type}"
