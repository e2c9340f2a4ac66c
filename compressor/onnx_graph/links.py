"""What hangs together in a graph: the node that makes each tensor, and those that take it."""

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
