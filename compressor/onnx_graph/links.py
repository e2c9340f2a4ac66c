"""What hangs together in a graph: the node that makes each tensor, those that take it, and what it holds itself."""

from __future__ import annotations

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


def constants(graph: onnx.GraphProto) -> dict[str, onnx.TensorProto]:
    """The tensors that the graph holds, by name: initializers and those of Constant nodes. Those whose numbers lie in
    another file are left out."""
    made = {
        node.output[0]: one.t
        for node in graph.node
        if node.op_type == "Constant" and node.output
        for one in node.attribute
        if one.name == "value"
    }
    held = made | {tensor.name: tensor for tensor in graph.initializer}
    return {name: one for name, one in held.items() if one.data_location != onnx.TensorProto.EXTERNAL}
