"""What one inference costs by counting: parameters and multiply-accumulates, alike for float and int8 graphs."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from math import prod
from pathlib import Path
from typing import Any

import onnx
import onnx.inliner

from compressor.device.memory import short_of_memory
from compressor.onnx_graph import choices, kernels, links, macs, operators
from compressor.onnx_graph.clean import first_line
from compressor.onnx_graph.macs import Shape, UnknownError, UnseenError

LARGEST = 200_000
"""Nodes beyond which nobody counts, those of functions counted at every call."""
_IN_MEMORY = 2**28
"""Weights beyond which those in other files stay there: a graph of 2 GB cannot be handed to ONNX's tools."""
_INDICES = {
    onnx.TensorProto.DataType.Value(name)
    for name in ("UNDEFINED", "INT32", "INT64", "UINT32", "UINT64", "BOOL", "STRING", "COMPLEX64", "COMPLEX128")
}
"""Types of shapes, indices and the like, and no weights."""


class UncountedError(Exception):
    """The sentence that says why a graph's multiplications are not known."""


class _UnseenError(UncountedError):
    """Likewise, where a run of the graph may show it."""


def count(path: Path, sample: Sequence[int] | None = None) -> dict[str, Any]:
    """`{"params": n, "macs": n, "macs_unknown": why}` of an ONNX file that runs, for one sample.

    params: elements of the weight tensors; scales and zero points of quantization, single numbers (limits of a clip)
    and shapes are none. macs: multiply-accumulates of convolutions, matrix products, recurrent layers, attention and
    sums of products, also inside functions, branches and loops; biases and elementwise operators count nothing. None
    where an operator or a size is unknown, and then macs_unknown is a sentence about the first one, else None; both are
    None where the file cannot be looked into.
    sample: sizes of the only input after the batch, where the file leaves some open.
    """
    params = None
    try:
        model = onnx.load(path, load_external_data=False)
        params = _params(model)
        _with_weights(model, path.parent)
        _with_sizes(model, sample)
        return {"params": params, "macs": _macs(model), "macs_unknown": None}
    except UncountedError as error:
        return unknown(str(error), params)
    except Exception as error:  # ONNX has a dozen exception types without a common one, and some files trouble it
        if short_of_memory(error):
            raise
        return unknown(f"the multiplications are not counted: {first_line(error)}", params)


def unknown(why: str, params: int | None = None) -> dict[str, Any]:
    """What `count` gives where nothing more is known. why: a sentence."""
    return {"params": params, "macs": None, "macs_unknown": why}


def _with_weights(model: onnx.ModelProto, folder: Path) -> None:
    """Reads what lies in other files, where it is little: sizes may stand there."""
    if sum(prod(tensor.dims) for tensor in model.graph.initializer) < _IN_MEMORY:
        with suppress(Exception):  # onnx reads no links, which onnxruntime follows
            onnx.load_external_data_for_model(model, str(folder))


def _with_sizes(model: onnx.ModelProto, sample: Sequence[int] | None) -> None:
    """Sets an open batch to one and what else is open to the sample's sizes, so that inner shapes become numbers.

    What the file itself notes of inner tensors and outputs is dropped: nobody checks whether it is so.
    """
    inputs = links.fed(model.graph)
    for value in inputs:
        dims = value.type.tensor_type.shape.dim
        if dims and not dims[0].dim_value:
            dims[0].dim_value = 1
    if sample is not None and len(inputs) == 1:
        dims = inputs[0].type.tensor_type.shape.dim
        for dim, size in zip(dims[1:], sample, strict=True):
            dim.dim_value = size
    del model.graph.value_info[:]
    for value in model.graph.output:
        if value.type.HasField("tensor_type"):  # else it would become one
            value.type.tensor_type.ClearField("shape")


def _params(model: onnx.ModelProto) -> int:
    nodes = list(operators.walk(model))
    settings = {
        name for node in nodes if node.op_type in ("QuantizeLinear", "DequantizeLinear") for name in node.input[1:]
    }
    dequantized = {node.input[0] for node in nodes if node.op_type == "DequantizeLinear"}
    inner = [graph for node in nodes for graph in operators.graphs(node)]
    held = links.held(nodes, (tensor for graph in (model.graph, *inner) for tensor in graph.initializer))
    return sum(
        prod(tensor.dims)
        for name, tensor in held.items()
        # int32 holds a quantized bias where it is dequantized, and a shape or an index elsewhere.
        if tensor.dims and name not in settings and (tensor.data_type not in _INDICES or name in dequantized)
    )


def _macs(model: onnx.ModelProto) -> int:
    if _expanded(model) > LARGEST:
        raise UncountedError(f"the multiplications are not counted: it has more than {LARGEST:,} nodes")
    if model.functions:
        model = onnx.inliner.inline_local_functions(model)
    batch = _batch(model.graph)
    try:
        graph = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    except Exception:  # protobuf's and ONNX's own kinds, for graphs beyond 2 GB or with contradictions
        graph = model.graph
    return -(-_total(model, graph) // batch)


def _total(model: onnx.ModelProto, graph: onnx.GraphProto) -> int:
    """Of the graph, which is the model's with the sizes that ONNX infers: by those, else as they are seen in a run."""
    shapes, total, unknown = ChainMap(_shapes(graph)), 0, {}
    moving = _inputs(graph)
    for place, node in enumerate(graph.node):
        if moving.isdisjoint(_taken(node)):
            continue  # the same in every inference, so computed once
        moving.update(filter(None, node.output))
        try:
            total += _node(node, shapes)
        except _UnseenError as error:
            unknown[place] = error
    return total + _seen(model, unknown, _known(graph)) if unknown else total


def _seen(model: onnx.ModelProto, unknown: Mapping[int, UncountedError], known: Collection[str]) -> int:
    """What the nodes at these places cost in a run, which is what they always cost unless values choose."""
    reach = choices.Reach(_inputs(model.graph))
    for place, node in enumerate(model.graph.node):
        why = choices.differs(node, reach, known)
        if place in unknown and (why or operators.kind(node) == "SequenceMap"):
            raise _uncounted(node, why or "how often it runs is not told")
    costs: dict[int, int] = {}
    try:
        for place, node, sizes in kernels.executed(model):
            if place in unknown:
                cost = 0 if operators.graphs(node) else _node(node, ChainMap(sizes))
                costs[place] = costs.get(place, 0) + cost
    except UncountedError:
        raise
    except Exception as error:  # onnxruntime has a dozen exception types without a common one
        raise next(iter(unknown.values())) from error
    for place, reason in unknown.items():
        if place not in costs:
            raise reason
    return sum(costs.values())


def _inputs(graph: onnx.GraphProto) -> set[str]:
    return {value.name for value in links.fed(graph)}


def _taken(node: onnx.NodeProto) -> set[str]:
    """What a node takes, and what the graphs inside it take from around."""
    return {name for one in operators.inside([node]) for name in one.input}


def _batch(graph: onnx.GraphProto) -> int:
    """Samples that one run of the graph takes."""
    fed = links.fed(graph)
    dims = fed[0].type.tensor_type.shape.dim if fed else ()
    return max(dims[0].dim_value, 1) if dims else 1


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
            total += 1 + sum(size(one.node, depth) for one in operators.graphs(node))
            if total > LARGEST:
                return LARGEST + 1
        return total

    return size(model.graph.node, 0)


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
            raise UnseenError(choices.SIZES)
        return shapes[name]

    try:
        if inner := operators.graphs(node):
            costs = [_nodes(one.node, shapes.new_child(_shapes(one))) for one in inner]
            return _chosen(costs) if operator == "If" else costs[0] and costs[0] * _rounds(node, operator, shape)
        return macs.of_node(node, operator, shape)
    except UnseenError as error:
        raise _uncounted(node, str(error), _UnseenError) from error
    except UnknownError as error:
        why = str(error)
    except (IndexError, KeyError, ValueError, TypeError):
        why = "its form is not known here"
    raise _uncounted(node, why)


def _uncounted(node: onnx.NodeProto, why: str, kind: type[UncountedError] = UncountedError) -> UncountedError:
    name = node.name or next(filter(None, node.output), "")
    return kind(f"the multiplications of `{name}` ({operators.kind(node)}) cannot be counted: {why}")


def _chosen(costs: Sequence[int]) -> int:
    if len(set(costs)) > 1:
        raise UnseenError("its branches cost differently")
    return costs[0]


def _rounds(node: onnx.NodeProto, operator: str, shape: Callable[[str], Shape]) -> int:
    """How often the body of a loop runs."""
    if operator != "Scan":
        raise UnseenError("how often it runs is not told")
    given = links.attributes(node)
    scanned = int(given["num_scan_inputs"])
    axis = int((given.get("scan_input_axes") or [0])[0])
    if len(node.input) > len(given["body"].input):  # the oldest form: lengths of the sequences first, then batches
        if node.input[0]:
            raise UnseenError("how often it runs is not told")
        sizes = shape(node.input[len(node.input) - scanned])
        return sizes[0] * sizes[1]
    return shape(node.input[len(node.input) - scanned])[axis]


def _known(graph: onnx.GraphProto) -> set[str]:
    """Tensors whose sizes are known, inside branches and loops too."""
    known = set(_shapes(graph))
    for node in graph.node:
        for inner in operators.graphs(node):
            known |= _known(inner)
    return known
