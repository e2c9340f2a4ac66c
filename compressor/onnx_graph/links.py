"""What a graph says of itself: the node that makes each tensor, those that take it, what is fed, and what it holds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import onnx


def makers(graph: onnx.GraphProto) -> dict[str, onnx.NodeProto]:
    """The node that gives out each tensor, by the tensor's name."""
    return {name: node for node in graph.node for name in node.output}


def users(graph: onnx.GraphProto) -> dict[str, list[onnx.NodeProto]]:
    """The nodes that take each tensor, by its name, in the order of the graph; twice where one takes it twice."""
    found: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            found.setdefault(name, []).append(node)
    return found


def fed(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    """The inputs that a run is given: old files list their weights among the inputs too."""
    kept = {tensor.name for tensor in graph.initializer}
    return [value for value in graph.input if value.name not in kept]


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """The node's attributes as Python values; texts are bytes, graphs stay graphs."""
    return {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}


def constants(graph: onnx.GraphProto) -> dict[str, onnx.TensorProto]:
    """The tensors that the graph holds, by name: initializers and those of Constant nodes. Those whose numbers lie in
    another file are left out."""
    every = held(graph.node, graph.initializer)
    return {name: one for name, one in every.items() if one.data_location != onnx.TensorProto.EXTERNAL}


def held(nodes: Iterable[onnx.NodeProto], initializers: Iterable[onnx.TensorProto]) -> dict[str, onnx.TensorProto]:
    """These initializers and the tensors of those of the nodes that are a Constant, by name."""
    made = {
        node.output[0]: one.t
        for node in nodes
        if node.op_type == "Constant" and node.output
        for one in node.attribute
        if one.name == "value"
    }
    return made | {tensor.name: tensor for tensor in initializers}
