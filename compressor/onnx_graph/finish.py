"""From a core graph to the file that ships: pixels in, probabilities out, batch, IR version, nothing private."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from compressor.device.graphs import BITS
from compressor.errors import StepError
from compressor.models.answer_kinds import LOGARITHM_OF, Kind
from compressor.onnx_graph import clean, links
from compressor.onnx_graph.preprocess_nodes import prepend

Input = Literal["float", "pixels_nhwc", "pixels_nchw"]
BATCH = "batch"
PIXELS = "pixels"
PROBABILITIES = "probabilities"

# First release of onnxruntime that reads it: highest opset and IR version. 1.15 and later were tried with tiny files,
# the older ones are by its own documentation.
RELEASES: tuple[tuple[str, int, int], ...] = (
    ("1.12", 17, 8),
    ("1.14", 18, 8),
    ("1.15", 19, 9),
    ("1.17", 20, 9),
    ("1.18", 21, 10),
    ("1.21", 22, 10),
    ("1.23", 23, 11),
    ("1.24", 25, 13),
)


@dataclass(frozen=True)
class Finish:
    """What is added around a core graph. softmax: whether probabilities come out; what the graph ends in already
    (activation) is not done again. batch_size: None leaves the batch open. ir_version: None takes the lowest that the
    opset allows without asking for a newer onnxruntime."""

    input: Input = "float"
    preprocess: Sequence[Mapping[str, Any]] = ()
    softmax: bool = False
    batch_size: int | None = None
    ir_version: int | None = None
    activation: Kind | None = None


@dataclass(frozen=True)
class Port:
    """An input or output of a graph as it is: shape with the batch, numbers or the name of an open size."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


@dataclass(frozen=True)
class Finished:
    """The interface of the file that was written, and what was changed on the way. in_graph: steps of preprocessing
    that it does itself, and what its answers come out of. activation: the last of these, None for raw scores."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    opset: int
    ir_version: int
    in_graph: tuple[str, ...]
    subnormals: int
    weight_bits: int | None
    activation: Kind | None


def finish(core: Path, target: Path, wanted: Finish) -> Finished:
    """Write the shipped file of a core graph with one float32 input [batch, …] and one output [batch, classes].

    Equal graphs give equal bytes. StepError where the core graph has another form, or the result fails the checker.
    """
    model = onnx.load(str(core), load_external_data=False)
    _check_core(model, wanted)
    graph = model.graph
    in_graph: list[str] = []
    _set_batch(graph, wanted.batch_size)
    if wanted.input != "float":
        in_graph = prepend(graph, wanted.preprocess, wanted.input, _unused(graph, PIXELS))
    activation = _probabilities(graph, wanted)
    clean.strip(model)
    subnormals = clean.flush_subnormals(model)
    opset = opset_of(model)
    model.ir_version = wanted.ir_version or lowest_ir(opset)
    clean.save(model, target, "")
    return Finished(
        inputs=tuple(port(value) for value in graph.input),
        outputs=tuple(port(value) for value in graph.output),
        opset=opset,
        ir_version=model.ir_version,
        in_graph=(*in_graph, activation) if activation else tuple(in_graph),
        subnormals=subnormals,
        weight_bits=weight_bits(graph),
        activation=activation,
    )


def oldest_onnxruntime(opset: int, ir_version: int) -> str | None:
    """The first release of onnxruntime that reads such a file, by the table above; None where it is newer than that."""
    return next((name for name, most, ir in RELEASES if opset <= most and ir_version <= ir), None)


def lowest_ir(opset: int) -> int:
    """The IR version that the first onnxruntime with this opset reads, so that it never asks for a newer one."""
    return next((ir for _, most, ir in RELEASES if opset <= most), RELEASES[-1][2])


def opset_of(model: onnx.ModelProto) -> int:
    """Version of the standard operators that the file asks for."""
    return next(int(entry.version) for entry in model.opset_import if entry.domain in ("", "ai.onnx"))


def port(value: onnx.ValueInfoProto) -> Port:
    """Name, numpy dtype and shape of an input or output."""
    tensor = value.type.tensor_type
    dtype = np.dtype(helper.tensor_dtype_to_np_dtype(tensor.elem_type)).name
    shape = tuple(dim.dim_value if dim.HasField("dim_value") else dim.dim_param or "?" for dim in tensor.shape.dim)
    return Port(value.name, dtype, shape)


def constants(graph: onnx.GraphProto) -> list[onnx.TensorProto]:
    """All tensors that the graph and those inside it hold: initializers and constant attributes."""
    held = list(graph.initializer)
    for attribute in (attribute for node in graph.node for attribute in node.attribute):
        held += [attribute.t] if attribute.type == onnx.AttributeProto.TENSOR else []
        for inner in (attribute.g, *attribute.graphs):
            held += constants(inner)
    return held


def external_files(graph: onnx.GraphProto) -> list[str]:
    """The files that hold weights of the graph, by their paths as it names them, relative to its own folder."""
    outside = [tensor for tensor in constants(graph) if tensor.data_location == TensorProto.EXTERNAL]
    return sorted({entry.value for tensor in outside for entry in tensor.external_data if entry.key == "location"})


def weight_bytes(graph: onnx.GraphProto) -> int:
    """Bytes of the graph's constants by their sizes and types, wherever their numbers lie; none is read."""
    return sum(-(-prod(tensor.dims) * BITS.get(tensor.data_type, 0) // 8) for tensor in constants(graph))


def weight_bits(graph: onnx.GraphProto) -> int | None:
    """7 or 8: bits that the int8 weights really use (7 cannot saturate where a CPU adds products in 16 bits)."""
    held = {tensor.name: tensor for tensor in graph.initializer}
    weights = [
        numpy_helper.to_array(held[node.input[0]])
        for node in graph.node
        if node.op_type == "DequantizeLinear" and node.input[0] in held
    ]
    narrow = [values for values in weights if values.dtype == np.int8]
    if not narrow:
        return None
    return 7 if all(int(np.abs(values.astype(np.int16)).max(initial=0)) <= 64 for values in narrow) else 8


def _check_core(model: onnx.ModelProto, wanted: Finish) -> None:
    graph = model.graph
    if len(graph.input) != 1 or len(graph.output) != 1:
        what = f"the graph has {len(graph.input)} inputs and {len(graph.output)} outputs"
        raise StepError("", what, "only one of each can be shipped")
    if external_files(graph):
        raise StepError("", "the graph keeps weights in another file", "a shipped file must be one file")
    source = port(graph.input[0])
    if wanted.input != "float" and (source.dtype != "float32" or len(source.shape) != 4):
        what = f"input is {wanted.input}, but the network takes {source.dtype} {list(source.shape)}, no pictures"
        raise StepError("", what, "leave input: float")


def _set_batch(graph: onnx.GraphProto, batch_size: int | None) -> None:
    for value in (*graph.input, *graph.output):
        batch = value.type.tensor_type.shape.dim[0]
        if batch_size is not None:
            batch.dim_value = batch_size
        elif not batch.HasField("dim_value"):
            batch.dim_param = BATCH


def _probabilities(graph: onnx.GraphProto, wanted: Finish) -> Kind | None:
    """Let probabilities come out where they are asked for; what the output is then. Its name says probabilities too."""
    old, kind = graph.output[0], wanted.activation
    if kind in ("softmax", "sigmoid"):
        _rename(graph, old, _unused(graph, PROBABILITIES))
        return kind
    if not wanted.softmax:
        return kind
    new = onnx.ValueInfoProto()
    new.CopyFrom(old)
    new.name = _unused(graph, PROBABILITIES)
    name, given, made = f"answer/{new.name}", [old.name], [new.name]
    if kind is None:
        graph.node.append(helper.make_node("Softmax", given, made, name=name, axis=-1))
    else:
        graph.node.append(helper.make_node("Exp", given, made, name=name))
    del graph.output[:]
    graph.output.append(new)
    return "softmax" if kind is None else LOGARITHM_OF[kind]


def _rename(graph: onnx.GraphProto, output: onnx.ValueInfoProto, name: str) -> None:
    old = output.name
    for node in (links.makers(graph)[old], *links.users(graph).get(old, ())):
        for names in (node.input, node.output):
            names[:] = [name if one == old else one for one in names]
    output.name = name


def _unused(graph: onnx.GraphProto, name: str) -> str:
    """The name, or the first with underscores behind it that nothing in the graph begins with."""
    used = [value.name for value in (*graph.input, *graph.output)] + [tensor.name for tensor in graph.initializer]
    used += [output for node in graph.node for output in node.output]
    while any(other == name or other.startswith(f"{name}_") for other in used):
        name += "_"
    return name
