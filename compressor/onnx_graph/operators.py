"""Counts the operators of a graph as onnxruntime really runs it, after all its fusions."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import onnx

from compressor.onnx_graph.session import make_session

# Every form that a float convolution or matrix product takes in onnxruntime's CPU graphs.
FLOAT_CONVOLUTIONS = frozenset({"Conv", "FusedConv", "NhwcFusedConv", "NhwcConv", "NchwcConv", "ConvTranspose"})
FLOAT_PRODUCTS = frozenset({"Gemm", "FusedGemm", "MatMul", "FusedMatMul", "TransposeMatMul"})
INTEGER_KERNELS = frozenset(
    {
        "QLinearConv",
        "QLinearConvTranspose",
        "QGemm",
        "QLinearMatMul",
        "ConvInteger",
        "MatMulInteger",
        "DynamicQuantizeMatMul",
        "MatMulIntegerToFloat",
        "QAttention",
    }
)


def count(path: Path) -> dict[str, Any]:
    """`{"operators": {name: count}, "float_convolutions": n, "float_names": [...], "precision": ...}` of an ONNX file.

    float_names: the convolutions and matrix products that run in float, by their names. precision: `float32` without
    any integer kernel, `int8` where all convolutions and products are integer kernels, else `mixed`.
    """
    nodes = optimised(path).graph.node
    kinds = [_kind(node) for node in nodes]
    integers = any(kind in INTEGER_KERNELS for kind in kinds)
    # Fusions rename float nodes, but where nothing is an integer kernel all of them are float.
    named = nodes if integers else onnx.load(path, load_external_data=False).graph.node
    floats = [node.name or node.output[0] for node in named if _kind(node) in FLOAT_CONVOLUTIONS | FLOAT_PRODUCTS]
    return {
        "operators": dict(sorted(Counter(kinds).items())),
        "float_convolutions": sum(kind in FLOAT_CONVOLUTIONS for kind in kinds),
        "float_names": floats,
        "precision": "float32" if not integers else "mixed" if floats else "int8",
    }


def optimised(path: Path) -> onnx.ModelProto:
    """The graph that onnxruntime makes of the file for this CPU, without the weights that lie in other files."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "optimised.onnx"
        make_session(path, 1, target)
        return onnx.load(target, load_external_data=False)


def _kind(node: onnx.NodeProto) -> str:
    """The operator's name; those of the blocked layout, which share ONNX's names, get `Nchwc` in front."""
    blocked = node.domain == "com.microsoft.nchwc" and not node.op_type.startswith("Reorder")
    return f"Nchwc{node.op_type}" if blocked else str(node.op_type)
