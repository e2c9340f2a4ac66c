"""Counts the operators of a graph as onnxruntime really runs it, after all its fusions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

from compressor import unfinished
from compressor.onnx_graph.kinds import FLOAT_CONVOLUTIONS, FLOAT_PRODUCTS, INTEGER_KERNELS, LISTED
from compressor.onnx_graph.session import make_session

_DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft", "com.microsoft.nchwc", "com.ms.internal.nhwc")


@dataclass(frozen=True)
class Operators:
    """What onnxruntime runs. counts: of each operator, those inside branches and loops included. floats: names of the
    convolutions and products in float with their operators. unknown: likewise of those that no list holds.
    """

    counts: dict[str, int]
    floats: tuple[tuple[str, str], ...]
    unknown: tuple[tuple[str, str], ...]

    @property
    def precision(self) -> str:
        """`float32` without any integer kernel, `int8` where every product is one, else `mixed`."""
        if not INTEGER_KERNELS & self.counts.keys():
            return "float32"
        return "mixed" if self.floats or self.unknown else "int8"


def count(path: Path) -> dict[str, Any]:
    """An ONNX file's operators as JSON: `{"operators": {name: count}, "float_convolutions": n, "float_matmuls": n,
    "float_names": [...], "unknown_operators": [...], "precision": "float32" | "mixed" | "int8"}`.

    float_matmuls: matrix products in float, recurrent layers, attention and the like among them. float_names: the
    convolutions and products that run in float, by their names. unknown_operators: those of which nobody here can say
    what they compute in.
    """
    found = look(path)
    return {
        "operators": found.counts,
        "float_convolutions": sum(number for name, number in found.counts.items() if name in FLOAT_CONVOLUTIONS),
        "float_matmuls": sum(number for name, number in found.counts.items() if name in FLOAT_PRODUCTS),
        "float_names": [name for name, _ in found.floats],
        "unknown_operators": sorted({operator for _, operator in found.unknown}),
        "precision": found.precision,
    }


def unknown(why: str) -> dict[str, Any]:
    """What `count` gives where the graph cannot be looked into, and `precision_unknown`: why, a sentence."""
    names = ("operators", "float_convolutions", "float_matmuls", "float_names", "unknown_operators", "precision")
    return {**dict.fromkeys(names), "precision_unknown": why}


def look(path: Path) -> Operators:
    """The operators of an ONNX file as onnxruntime runs it on this CPU."""
    nodes = list(walk(optimised(path)))
    counts = Counter(kind(node) for node in nodes)
    # Fusions rename float nodes, but where nothing is an integer kernel all of them are float.
    named = nodes if INTEGER_KERNELS & counts.keys() else list(walk(onnx.load(path, load_external_data=False)))
    floats = tuple(_named(node) for node in named if kind(node) in FLOAT_CONVOLUTIONS | FLOAT_PRODUCTS)
    unknown = tuple(_named(node) for node in nodes if kind(node) not in LISTED)
    return Operators(dict(sorted(counts.items())), floats, unknown)


def optimised(path: Path) -> onnx.ModelProto:
    """The graph that onnxruntime makes of the file for this CPU, without the weights that lie in other files."""
    with unfinished.folder() as folder:
        target = folder / "optimised.onnx"
        make_session(path, 1, target)
        return onnx.load(target, load_external_data=False)


def walk(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    """Every node of the graph, of its branches and loops, and of the functions that the file defines, once each."""
    yield from inside(model.graph.node)
    for function in model.functions:
        yield from inside(function.node)


def inside(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """These nodes and those of their branches and loops, at any depth."""
    for node in nodes:
        yield node
        for graph in graphs(node):
            yield from inside(graph.node)


def graphs(node: onnx.NodeProto) -> list[onnx.GraphProto]:
    """The bodies of its branches or of its loop."""
    return [graph for one in node.attribute for graph in ([one.g, *one.graphs] if one.HasField("g") else one.graphs)]


def kind(node: onnx.NodeProto) -> str:
    """The operator's name as `kinds` lists it: with `Nchwc` in front in the blocked layout, which shares ONNX's names,
    and with the domain of whoever defined it where that is neither ONNX nor onnxruntime."""
    if node.domain not in _DOMAINS:
        return f"{node.domain}:{node.op_type}"
    blocked = node.domain == "com.microsoft.nchwc" and not node.op_type.startswith("Reorder")
    return f"Nchwc{node.op_type}" if blocked else str(node.op_type)


def _named(node: onnx.NodeProto) -> tuple[str, str]:
    return node.name or next(filter(None, node.output), node.op_type), kind(node)
