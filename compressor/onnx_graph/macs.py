"""Multiply-accumulates of single ONNX nodes, from the shapes of their tensors; `cost` adds them up over a graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod

import onnx

from compressor.onnx_graph.kinds import LISTED, PRODUCTS
from compressor.onnx_graph.links import attributes

Shape = tuple[int, ...]
Shapes = Callable[[str], Shape]


class UnknownError(Exception):
    """The number cannot be told. The text says why, without the operator."""


class UnseenError(UnknownError):
    """A size or a number of rounds is not told by the graph; a run may show it."""


def of_node(node: onnx.NodeProto, operator: str, shapes: Shapes) -> int:
    """Multiply-accumulates of one node; biases and what works element by element count nothing.

    operator: as `operators.kind` names it. shapes: the shape of a tensor by its name, raising UnseenError.
    Errors: UnknownError.
    """
    if operator in _RULES:
        return _RULES[operator](node, shapes)
    if operator not in LISTED:
        raise UnknownError("nobody here can say what it multiplies")
    if operator in PRODUCTS:
        raise UnknownError("its products are not counted here")
    return 0


def _convolution(weight: int) -> Callable[[onnx.NodeProto, Shapes], int]:
    """weight: the place of [out, in / groups, *kernel] among the inputs: each output sums one kernel."""

    def rule(node: onnx.NodeProto, shapes: Shapes) -> int:
        return prod(shapes(node.output[0])) * prod(shapes(node.input[weight])[1:])

    return rule


def _transposed(weight: int) -> Callable[[onnx.NodeProto, Shapes], int]:
    """weight: the place of [in, out / groups, *kernel] among the inputs: each input meets one kernel."""

    def rule(node: onnx.NodeProto, shapes: Shapes) -> int:
        return prod(shapes(node.input[0])) * prod(shapes(node.input[weight])[1:])

    return rule


def _product(node: onnx.NodeProto, shapes: Shapes) -> int:
    """Each output is a sum over the last axis of the left operand, or the one before where that is transposed."""
    given = attributes(node)
    if given.get("transBatchA") or given.get("transBatchB"):
        raise UnknownError("its operands' batches are transposed")
    left = shapes(node.input[0])
    transposed = bool(given.get("transA")) and len(left) > 1
    return prod(shapes(node.output[0])) * (left[-2] if transposed else left[-1])


def _packed_bits(node: onnx.NodeProto, shapes: Shapes) -> int:
    given = attributes(node)
    return prod(shapes(node.input[0])[:-1]) * int(given["K"]) * int(given["N"])


def _grid(node: onnx.NodeProto, shapes: Shapes) -> int:
    """Each place of the grid [batch, *places, axes] meets one row of theta [batch, axes, axes + 1] an axis."""
    return prod(shapes(node.output[0])) * shapes(node.input[0])[-1]


def _linear(node: onnx.NodeProto, shapes: Shapes) -> int:
    """Classical linear models: [samples, features] times the coefficients of every class or target."""
    left = shapes(node.input[0])
    return prod(left[:-1]) * len(attributes(node)["coefficients"])


def _recurrent(node: onnx.NodeProto, shapes: Shapes) -> int:
    """[length, batch, in] through W [directions, gates * hidden, in] and R [directions, gates * hidden, hidden]."""
    length, batch = shapes(node.input[0])[:2]
    return length * batch * (prod(shapes(node.input[1])) + prod(shapes(node.input[2])))


def _attention(node: onnx.NodeProto, shapes: Shapes) -> int:
    """ONNX's: queries [batch, heads, length, size] or [batch, length, heads * size] meet the keys, then the values."""
    given, past = attributes(node), 0
    query, key, value = (shapes(name) for name in node.input[:3])
    if len(node.input) > 4 and node.input[4]:
        past = shapes(node.input[4])[-2]
    heads = query[1] if len(query) == 4 else int(given["q_num_heads"])
    kept = value[1] if len(value) == 4 else int(given["kv_num_heads"])
    size = query[-1] if len(query) == 4 else query[-1] // heads
    out = value[-1] if len(value) == 4 else value[-1] // kept
    return query[0] * heads * query[-2] * (key[-2] + past) * (size + out)


def _projecting_attention(node: onnx.NodeProto, shapes: Shapes) -> int:
    """onnxruntime's Attention: [batch, length, in] is projected to queries, keys and values by one weight first."""
    given, past = attributes(node), 0
    (batch, length, wide), weight = shapes(node.input[0]), shapes(node.input[1])
    held = {"Attention": 4, "QAttention": 8}[node.op_type]
    if len(node.input) > held and node.input[held]:
        past = shapes(node.input[held])[3]
    queries, _, values = given.get("qkv_hidden_sizes") or [weight[1] // 3] * 3
    return batch * length * (wide * weight[1] + (length + past) * int(queries + values))


def _attention_of_either(node: onnx.NodeProto, shapes: Shapes) -> int:
    return (_projecting_attention if node.domain == "com.microsoft" else _attention)(node, shapes)


def _heads_side_by_side(node: onnx.NodeProto, shapes: Shapes) -> int:
    """onnxruntime's MultiHeadAttention: queries [batch, length, width], packed with keys and values or beside them."""
    names = [*node.input, *[""] * 7]
    query, past = shapes(names[0]), shapes(names[6])[2] if names[6] else 0
    if len(query) == 5:  # [batch, length, heads, 3, size]
        batch, length, heads, _, size = query
        return batch * heads * length * (length + past) * 2 * size
    key = shapes(names[1])
    if len(key) == 5:  # [batch, length, heads, 2, size]
        return query[0] * query[1] * (key[1] + past) * 2 * query[2]
    value = shapes(names[2])
    wide = value[1] * value[3] if len(value) == 4 else value[2]
    return query[0] * query[1] * (key[-2] + past) * (query[2] + wide)


def _einsum(node: onnx.NodeProto, shapes: Shapes) -> int:
    equation = attributes(node)["equation"].decode().replace(" ", "")
    return of_einsum(equation, [shapes(name) for name in node.input])


def of_einsum(equation: str, operands: Sequence[Shape]) -> int:
    """Multiply-accumulates of a sum of products, two operands at a time from the left; one operand multiplies nothing.

    >>> of_einsum("bik,bkj->bij", [(2, 3, 4), (2, 4, 5)])
    120
    """
    given, arrow, wanted = equation.partition("->")
    terms = [_labels(term, shape) for term, shape in zip(given.split(","), operands, strict=True)]
    sizes: dict[str, int] = {}
    for term, shape in zip(terms, operands, strict=True):
        for label, size in zip(term, shape, strict=True):
            sizes[label] = max(size, sizes.get(label, 1))
    every = [label for term in terms for label in term]
    dots = {label for label in every if label.startswith(".")}
    result = dots | (set(wanted.replace("...", "")) if arrow else {one for one in every if every.count(one) == 1})
    total, left = 0, set(terms[0])
    for place, term in enumerate(terms[1:], 1):
        later = result.union(*terms[place + 1 :])
        # What only one of the two has, and nothing after them, is summed before they meet.
        meet = (left & (set(term) | later)) | (set(term) & (left | later))
        total += prod(sizes[label] for label in meet)
        left = meet & later
    return total


def _labels(term: str, shape: Shape) -> list[str]:
    """A label an axis; those under an ellipsis are called by their place from the right."""
    if "..." not in term:
        return list(term)
    before, after = term.split("...")
    hidden = len(shape) - len(before) - len(after)
    return [*before, *(f".{hidden - place}" for place in range(hidden)), *after]


_RULES: Mapping[str, Callable[[onnx.NodeProto, Shapes], int]] = {
    **dict.fromkeys(("Conv", "FusedConv", "ConvInteger", "DeformConv"), _convolution(1)),
    "QLinearConv": _convolution(3),
    "ConvTranspose": _transposed(1),
    "QLinearConvTranspose": _transposed(3),
    **dict.fromkeys(("Gemm", "FusedGemm", "QGemm", "MatMul", "FusedMatMul", "TransposeMatMul"), _product),
    **dict.fromkeys(("MatMulInteger", "MatMulInteger16", "DynamicQuantizeMatMul", "MatMulIntegerToFloat"), _product),
    **dict.fromkeys(("QLinearMatMul", "GemmFastGelu", "FusedMatMulActivation"), _product),
    **dict.fromkeys(("MatMulNBits", "MatMulBnb4"), _packed_bits),
    **dict.fromkeys(("LinearClassifier", "LinearRegressor"), _linear),
    **dict.fromkeys(("LSTM", "GRU", "RNN", "DynamicQuantizeLSTM"), _recurrent),
    "Attention": _attention_of_either,
    "QAttention": _projecting_attention,
    "MultiHeadAttention": _heads_side_by_side,
    "Einsum": _einsum,
    "AffineGrid": _grid,
}
