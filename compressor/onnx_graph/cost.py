"""What one inference costs by counting: parameters and multiply-accumulates, alike for float and int8 graphs."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from pathlib import Path

import onnx

_PRODUCTS = {"Conv", "ConvTranspose", "Gemm", "MatMul"}
_QUANTIZERS = {"QuantizeLinear", "DequantizeLinear"}
_WEIGHT_TYPES = {
    onnx.TensorProto.FLOAT,
    onnx.TensorProto.FLOAT16,
    onnx.TensorProto.INT8,
    onnx.TensorProto.UINT8,
    onnx.TensorProto.INT32,
}


def count(path: Path) -> dict[str, int]:
    """`{"params": n, "macs": n}` of an ONNX file, for one sample.

    params: elements of the weight tensors; scales and zero points of quantization, single numbers (limits of a clip)
    and shapes are none. macs: multiply-accumulates of convolutions and matrix products; biases and elementwise
    operators count nothing.
    """
    model = onnx.load(path)
    _one_sample(model)
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
    return {"params": _params(model.graph), "macs": sum(_macs(inferred.graph))}


def _one_sample(model: onnx.ModelProto) -> None:
    """Sets the batch to one, so that every inner shape becomes a number."""
    for value in (*model.graph.input, *model.graph.output):
        dims = value.type.tensor_type.shape.dim
        if dims:
            dims[0].dim_value = 1


def _params(graph: onnx.GraphProto) -> int:
    settings = {name for node in graph.node if node.op_type in _QUANTIZERS for name in node.input[1:]}
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


def _macs(graph: onnx.GraphProto) -> Iterator[int]:
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        shapes[value.name] = tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
    for node in graph.node:
        if node.op_type in _PRODUCTS:
            yield _product(node, shapes)


def _product(node: onnx.NodeProto, shapes: dict[str, tuple[int, ...]]) -> int:
    left, right, out = (shapes[name] for name in (node.input[0], node.input[1], node.output[0]))
    if node.op_type == "Conv":  # weight [out, in / groups, *kernel]
        return prod(out) * prod(right[1:])
    if node.op_type == "ConvTranspose":  # weight [in, out / groups, *kernel]; every input element meets all of it
        return prod(left) * prod(right[1:])
    transposed = node.op_type == "Gemm" and any(a.name == "transA" and a.i for a in node.attribute)
    return prod(out) * left[0 if transposed else -1]
