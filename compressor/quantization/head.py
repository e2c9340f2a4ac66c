"""What stands behind a network's scores and makes probabilities of them stays float: 256 levels would make ties."""

from __future__ import annotations

from collections.abc import Collection

import onnx

from compressor.onnx_graph import final_activation, links


def names(graph: onnx.GraphProto) -> list[str]:
    """Names of the nodes from the scores to the output of a graph that ends in a softmax, a sigmoid or a logarithm."""
    return [node.name for node in final_activation.nodes(graph) if node.name]


def leave_float(graph: onnx.GraphProto, head: Collection[str]) -> None:
    """Give these nodes what a matrix product computes, without the rounding between."""
    makers = links.makers(graph)
    for node in graph.node:
        if node.name not in head:
            continue
        for place, name in enumerate(node.input):
            last = makers.get(name)
            rounding = makers.get(last.input[0]) if last is not None and last.op_type == "DequantizeLinear" else None
            if rounding is None or rounding.op_type != "QuantizeLinear":
                continue
            source = makers.get(rounding.input[0])
            if source is not None and source.op_type in ("Gemm", "MatMul"):
                node.input[place] = rounding.input[0]
    for kind in ("DequantizeLinear", "QuantizeLinear"):
        used = {name for node in graph.node for name in node.input} | {value.name for value in graph.output}
        for node in [node for node in graph.node if node.op_type == kind and used.isdisjoint(node.output)]:
            graph.node.remove(node)
