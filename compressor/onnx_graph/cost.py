"""What one inference costs by counting: parameters and multiply-accumulates, alike for float and int8 graphs."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from math import prod
from pathlib import Path

import numpy as np
import onnx

from compressor.errors import StepError
from compressor.onnx_graph.session import make_session

Shapes = Mapping[str, tuple[int, ...]]
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
    Errors: StepError naming a product whose sizes cannot be told.
    """
    model = onnx.load(path)
    _one_sample(model)
    return {"params": _params(model.graph), "macs": _macs(model)}


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


def _macs(model: onnx.ModelProto) -> int:
    products = [node for node in model.graph.node if node.op_type in _PRODUCTS]
    shapes = _inferred(model)
    unknown = {name: node for node in products for name in _needed(node) if name not in shapes}
    if unknown:  # ONNX has no shape inference for every operator (GroupNormalization is one without)
        try:
            shapes |= _observed(model, list(unknown))
        except Exception as error:  # onnxruntime has a dozen exception types without a common one
            what = f"the multiplications of `{next(iter(unknown.values())).name}` cannot be counted"
            raise StepError("", f"{what}: its sizes depend on the values that go in", "replace that layer") from error
    return sum(_product(node, shapes) for node in products)


def _inferred(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    """The shapes that can be told without running the graph, by the tensors' names."""
    graph = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    shapes = {
        value.name: tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
        for value in (*graph.input, *graph.value_info, *graph.output)
        if value.type.tensor_type.HasField("shape")
    }
    known = {name: shape for name, shape in shapes.items() if all(shape)}
    return known | {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}


def _observed(model: onnx.ModelProto, names: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """The shapes of these tensors when the graph runs on one sample of zeros."""
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    present = {value.name for value in model.graph.output}
    watched.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in present)
    feed = {}
    for value in model.graph.input:
        tensor = value.type.tensor_type
        sizes = [dim.dim_value for dim in tensor.shape.dim]
        feed[value.name] = np.zeros(sizes, onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "watched.onnx"
        onnx.save(watched, path)
        values = make_session(path, 1, optimize=False).run(list(names), feed)
    return {name: value.shape for name, value in zip(names, values, strict=True)}


def _needed(node: onnx.NodeProto) -> tuple[str, str]:
    """The two tensors whose shapes say how many products there are."""
    left, right, out = node.input[0], node.input[1], node.output[0]
    return {"Conv": (right, out), "ConvTranspose": (left, right)}.get(node.op_type, (left, out))


def _product(node: onnx.NodeProto, shapes: Shapes) -> int:
    first, second = (shapes[name] for name in _needed(node))
    if node.op_type == "Conv":  # weight [out, in / groups, *kernel], output
        return prod(second) * prod(first[1:])
    if node.op_type == "ConvTranspose":  # input, weight [in, out / groups, *kernel]: every element meets all of it
        return prod(first) * prod(second[1:])
    transposed = node.op_type == "Gemm" and any(a.name == "transA" and a.i for a in node.attribute)
    return prod(second) * first[0 if transposed else -1]
