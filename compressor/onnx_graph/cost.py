"""What one inference costs by counting: parameters and multiply-accumulates, alike for float and int8 graphs."""

from __future__ import annotations

import tempfile
from collections import ChainMap
from collections.abc import Callable, Iterable, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.inliner

from compressor.onnx_graph import macs, operators
from compressor.onnx_graph.kinds import PRODUCTS
from compressor.onnx_graph.macs import Shape, UnknownError
from compressor.onnx_graph.session import make_session

LARGEST = 200_000
"""Nodes beyond which nobody counts, those of functions counted at every call."""
_IN_MEMORY = 2**28
"""Weights beyond which those in other files stay there: a graph of 2 GB cannot be handed to ONNX's tools."""
_WEIGHT_TYPES = {
    onnx.TensorProto.FLOAT,
    onnx.TensorProto.FLOAT16,
    onnx.TensorProto.INT8,
    onnx.TensorProto.UINT8,
    onnx.TensorProto.INT32,
}


class UncountedError(Exception):
    """The sentence that says why a graph's multiplications are not known."""


def count(path: Path, sample: Sequence[int] | None = None) -> dict[str, Any]:
    """`{"params": n, "macs": n, "macs_unknown": why}` of an ONNX file, for one sample.

    params: elements of the weight tensors; scales and zero points of quantization, single numbers (limits of a clip)
    and shapes are none. macs: multiply-accumulates of convolutions, matrix products, recurrent layers, attention and
    sums of products, also inside functions, branches and loops; biases and elementwise operators count nothing. None
    where an operator or a size is unknown, and then macs_unknown is a sentence about the first one, else None.
    sample: sizes of the only input after the batch, where the file leaves some open.
    """
    model = onnx.load(path, load_external_data=False)
    if sum(prod(tensor.dims) for tensor in model.graph.initializer) < _IN_MEMORY:
        onnx.load_external_data_for_model(model, str(path.parent))
    _one_sample(model, sample)
    params = _params(model.graph)
    try:
        return {"params": params, "macs": _macs(model), "macs_unknown": None}
    except UncountedError as error:
        return {"params": params, "macs": None, "macs_unknown": str(error)}


def _one_sample(model: onnx.ModelProto, sample: Sequence[int] | None) -> None:
    """Sets the batch to one and what else is open to the sample's sizes, so that inner shapes become numbers."""
    held = {tensor.name for tensor in model.graph.initializer}
    for value in (*model.graph.input, *model.graph.output):
        dims = value.type.tensor_type.shape.dim
        if dims and value.name not in held:
            dims[0].dim_value = 1
    inputs = [value for value in model.graph.input if value.name not in held]
    if sample is not None and len(inputs) == 1:
        dims = inputs[0].type.tensor_type.shape.dim
        for dim, size in zip(dims[1:], sample, strict=True):
            dim.dim_value = size


def _params(graph: onnx.GraphProto) -> int:
    settings = {
        name for node in graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear") for name in node.input[1:]
    }
    dequantized = {node.input[0] for node in graph.node if node.op_type == "DequantizeLinear"}
    return sum(
        prod(tensor.dims)
        for tensor in graph.initializer
        if tensor.dims
        and tensor.data_type in _WEIGHT_TYPES
        and tensor.name not in settings
        # int32 holds a quantized bias where it is dequantized, and a shape or an index elsewhere.
        and (tensor.data_type != onnx.TensorProto.INT32 or tensor.name in dequantized)
    )


def _macs(model: onnx.ModelProto) -> int:
    if _expanded(model) > LARGEST:
        raise UncountedError(f"the multiplications are not counted: it has more than {LARGEST:,} nodes")
    if model.functions:
        model = onnx.inliner.inline_local_functions(model)
    try:
        graph = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    except Exception:  # protobuf's and ONNX's own kinds, for graphs beyond 2 GB or with contradictions
        graph = model.graph
    known = _shapes(graph)
    try:
        return _nodes(graph.node, ChainMap(known))
    except UncountedError as unknown:
        # ONNX has no shape inference for every operator (GroupNormalization is one without), so the graph runs once.
        wanted = sorted(_asked(graph) - known.keys())
        if not wanted:
            raise
        try:
            known |= _observed(model, wanted)
        except Exception as error:  # onnxruntime has a dozen exception types without a common one
            raise unknown from error
    return _nodes(graph.node, ChainMap(known))


def _asked(graph: onnx.GraphProto) -> set[str]:
    """Tensors that the graph itself makes and whose sizes products need."""
    asked: set[str] = set()
    for node in graph.node:
        if operators.kind(node) in PRODUCTS or _graphs(node):
            asked |= {*node.input, *node.output}
    return asked & {name for node in graph.node for name in node.output} - {""}


def _expanded(model: onnx.ModelProto) -> int:
    """Nodes when every function is written out where it is called; bounded by `LARGEST + 1` for each function."""
    bodies = {(one.domain, one.name): one.node for one in model.functions}
    sizes: dict[tuple[str, str], int] = {}

    def size(nodes: Iterable[onnx.NodeProto], depth: int) -> int:
        total = 0
        for node in nodes:
            place = (node.domain, node.op_type)
            if place in bodies and depth < 100:
                if place not in sizes:
                    sizes[place] = size(bodies[place], depth + 1)
                total += sizes[place]
            total += 1 + sum(size(one.node, depth) for one in _graphs(node))
            if total > LARGEST:
                return LARGEST + 1
        return total

    return size(model.graph.node, 0)


def _graphs(node: onnx.NodeProto) -> list[onnx.GraphProto]:
    return [attribute.g for attribute in node.attribute if attribute.HasField("g")]


def _nodes(nodes: Iterable[onnx.NodeProto], shapes: ChainMap[str, Shape]) -> int:
    return sum(_node(node, shapes) for node in nodes)


def _shapes(graph: onnx.GraphProto) -> dict[str, Shape]:
    """The shapes that the graph's own notes tell whole, by the tensors' names."""
    shapes = {
        value.name: tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
        for value in (*graph.input, *graph.value_info, *graph.output)
        if value.type.tensor_type.HasField("shape")
    }
    known = {name: shape for name, shape in shapes.items() if all(shape)}
    return known | {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}


def _node(node: onnx.NodeProto, shapes: ChainMap[str, Shape]) -> int:
    operator = operators.kind(node)

    def shape(name: str) -> Shape:
        if name not in shapes:
            raise UnknownError("its sizes depend on the values that go in")
        return shapes[name]

    try:
        if inner := _graphs(node):
            costs = [_nodes(one.node, shapes.new_child(_shapes(one))) for one in inner]
            return _chosen(costs) if operator == "If" else costs[0] and costs[0] * _rounds(node, operator, shape)
        return macs.of_node(node, operator, shape)
    except UnknownError as error:
        why = str(error)
    except (IndexError, KeyError, ValueError, TypeError):
        why = "its form is not known here"
    name = node.name or next(filter(None, node.output), "")
    raise UncountedError(f"the multiplications of `{name}` ({operator}) cannot be counted: {why}")


def _chosen(costs: Sequence[int]) -> int:
    if len(set(costs)) > 1:
        raise UnknownError("its branches cost differently, and the values that go in choose")
    return costs[0]


def _rounds(node: onnx.NodeProto, operator: str, shape: Callable[[str], Shape]) -> int:
    """How often the body of a loop runs."""
    if operator != "Scan":
        raise UnknownError("how often it runs depends on the values that go in")
    given = macs.attributes(node)
    scanned = int(given["num_scan_inputs"])
    axis = int((given.get("scan_input_axes") or [0])[0])
    return shape(node.input[len(node.input) - scanned])[axis]


def _observed(model: onnx.ModelProto, names: Iterable[str]) -> dict[str, Shape]:
    """The shapes of these tensors when the graph runs on one sample of zeros."""
    names = list(names)
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    present = {value.name for value in model.graph.output}
    watched.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in present)
    held = {tensor.name for tensor in model.graph.initializer}
    feed = {}
    for value in model.graph.input:
        if value.name not in held:
            tensor = value.type.tensor_type
            sizes = [dim.dim_value for dim in tensor.shape.dim]
            feed[value.name] = np.zeros(sizes, onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "watched.onnx"
        onnx.save(watched, path)
        values = make_session(path, 1, optimize=False).run(names, feed)
    return {name: value.shape for name, value in zip(names, values, strict=True)}
