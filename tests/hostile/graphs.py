"""Hostile graphs made from a seed: valid protobuf whose parts contradict each other, ONNX, or reason."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import onnx
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, helper

Way = Callable[[random.Random, ModelProto], None]

TYPES = (0, 1, 2, 3, 6, 7, 8, 9, 10, 14, 16, 17, 20, 21, 23, 99, -1)
SIZES = (-1, -(2**63), 0, 1, 2, 3, 2**31, 2**62)
NAMES = ("", "input", "logits", "no such name", "\x1b]0;x\x07", "\u202e", "a/../b", "bad_alloc", "x" * 3000)
NUMBERS = (-1, 0, 7, 2**31, -(2**63), 2**63 - 1)


def hostile(seed: int, whole: ModelProto, count: int) -> Iterator[tuple[str, ModelProto]]:
    """So many broken forms of a model, each with the names of what was done to it."""
    chance = random.Random(seed)
    for number in range(count):
        made, done = ModelProto(), []
        made.CopyFrom(whole)
        for _ in range(chance.choice((1, 1, 1, 2, 3))):
            way = chance.choice(WAYS)
            done.append(way.__name__)
            way(chance, made)
        yield f"seed {seed}, number {number}: {', '.join(done)}", made


def _values(model: ModelProto) -> list[onnx.ValueInfoProto]:
    return [*model.graph.input, *model.graph.output, *model.graph.value_info]


def _one(chance: random.Random, parts: list) -> object | None:  # type: ignore[type-arg]
    return chance.choice(parts) if parts else None


def _element_type(chance: random.Random, model: ModelProto) -> None:
    if value := _one(chance, _values(model)):
        value.type.tensor_type.elem_type = chance.choice(TYPES)  # type: ignore[attr-defined]


def _initializer_type(chance: random.Random, model: ModelProto) -> None:
    if tensor := _one(chance, list(model.graph.initializer)):
        tensor.data_type = chance.choice(TYPES)  # type: ignore[attr-defined]


def _dimension(chance: random.Random, model: ModelProto) -> None:
    dims = [dim for value in _values(model) for dim in value.type.tensor_type.shape.dim]
    if dim := _one(chance, dims):
        dim.dim_value = chance.choice(SIZES)  # type: ignore[attr-defined]


def _dimension_name(chance: random.Random, model: ModelProto) -> None:
    dims = [dim for value in _values(model) for dim in value.type.tensor_type.shape.dim]
    if dim := _one(chance, dims):
        dim.dim_param = chance.choice(NAMES)  # type: ignore[attr-defined]


def _weight_sizes(chance: random.Random, model: ModelProto) -> None:
    if tensor := _one(chance, list(model.graph.initializer)):
        tensor.dims[:] = [chance.choice(SIZES) for _ in range(chance.randrange(6))]  # type: ignore[attr-defined]


def _no_shape(chance: random.Random, model: ModelProto) -> None:
    if value := _one(chance, _values(model)):
        value.type.tensor_type.ClearField("shape")  # type: ignore[attr-defined]


def _rank(chance: random.Random, model: ModelProto) -> None:
    if value := _one(chance, _values(model)):
        for _ in range(chance.choice((1, 30))):
            value.type.tensor_type.shape.dim.add().dim_value = chance.choice((1, 2, -1))  # type: ignore[attr-defined]


def _no_type(chance: random.Random, model: ModelProto) -> None:
    if value := _one(chance, _values(model)):
        value.ClearField("type")  # type: ignore[attr-defined]


def _other_kind(chance: random.Random, model: ModelProto) -> None:
    value = _one(chance, _values(model))
    if value is None:
        return
    inner = helper.make_tensor_type_proto(1, ["batch", 10])
    made = {
        "sequence": lambda: helper.make_sequence_type_proto(inner),
        "optional": lambda: helper.make_optional_type_proto(inner),
        "map": lambda: helper.make_map_type_proto(7, inner),
        "sparse": lambda: helper.make_sparse_tensor_type_proto(1, ["batch", 10]),
        "deep": lambda: helper.make_optional_type_proto(
            helper.make_sequence_type_proto(helper.make_sequence_type_proto(inner))
        ),
    }
    value.type.CopyFrom(made[chance.choice(sorted(made))]())  # type: ignore[attr-defined]


def _cycle(chance: random.Random, model: ModelProto) -> None:
    nodes = [node for node in model.graph.node if node.input and node.output]
    if nodes:
        first, last = sorted(chance.choices(range(len(nodes)), k=2))
        nodes[first].input[0] = nodes[last].output[0]


def _missing_input(chance: random.Random, model: ModelProto) -> None:
    nodes = [node for node in model.graph.node if node.input]
    if nodes:
        node = chance.choice(nodes)
        node.input[chance.randrange(len(node.input))] = chance.choice(NAMES)


def _fewer_inputs(chance: random.Random, model: ModelProto) -> None:
    if node := _one(chance, list(model.graph.node)):
        del node.input[chance.randrange(3) :]  # type: ignore[attr-defined]


def _more_inputs(chance: random.Random, model: ModelProto) -> None:
    if node := _one(chance, list(model.graph.node)):
        node.input.extend(chance.choices(("", "input", *NAMES), k=chance.choice((1, 40))))  # type: ignore[attr-defined]


def _same_names(chance: random.Random, model: ModelProto) -> None:
    graph = model.graph
    doubled = chance.choice(("node", "output", "initializer", "input", "twin"))
    if doubled == "twin" and len(graph.node) > 1:
        graph.node[-1].output[0] = graph.node[0].output[0]
    elif doubled != "twin":
        parts = getattr(graph, doubled)
        if parts:
            parts.add().CopyFrom(parts[chance.randrange(len(parts))])


def _renamed(chance: random.Random, model: ModelProto) -> None:
    graph: GraphProto = model.graph
    parts = [*graph.node, *graph.input, *graph.output, *graph.initializer, graph]
    chance.choice(parts).name = chance.choice(NAMES)


def _without(chance: random.Random, model: ModelProto) -> None:
    field = chance.choice(("node", "input", "output", "initializer", "value_info"))
    model.graph.ClearField(field)


def _no_graph(chance: random.Random, model: ModelProto) -> None:
    model.ClearField(chance.choice(("graph", "opset_import", "ir_version")))


def _fewer_nodes(chance: random.Random, model: ModelProto) -> None:
    if model.graph.node:
        del model.graph.node[chance.randrange(len(model.graph.node))]


def _passed_through(chance: random.Random, model: ModelProto) -> None:
    if model.graph.output and model.graph.input:
        model.graph.output[0].CopyFrom(model.graph.input[0])


def _operator(chance: random.Random, model: ModelProto) -> None:
    if node := _one(chance, list(model.graph.node)):
        known = ("", "Nonesuch", "If", "Loop", "Scan", "Einsum", "QLinearConv", "NonZero", "RandomNormal", "StringNormalizer",
                 "SequenceAt", "Optional", "LSTM", "Attention", "MatMul", "Shape", "Split", "DequantizeLinear", "ArrayFeatureExtractor")  # fmt: skip
        node.op_type = chance.choice(known)  # type: ignore[attr-defined]


def _domain(chance: random.Random, model: ModelProto) -> None:
    if node := _one(chance, list(model.graph.node)):
        node.domain = chance.choice(("com.microsoft", "ai.onnx.ml", "own", "\x1b[2J", "ai.onnx", "com.microsoft.nchwc"))  # type: ignore[attr-defined]


def _opsets(chance: random.Random, model: ModelProto) -> None:
    version = chance.choice((0, -1, 1, 5, 999, 2**40))
    if chance.random() < 0.5 and model.opset_import:
        model.opset_import[0].version = version
    else:
        model.opset_import.add(domain=chance.choice(("", "ai.onnx", "own")), version=version)


def _ir_version(chance: random.Random, model: ModelProto) -> None:
    model.ir_version = chance.choice((-1, 0, 1, 3, 99, 2**40))


def _attribute(chance: random.Random, model: ModelProto) -> None:
    node = _one(chance, [node for node in model.graph.node if node.attribute] or list(model.graph.node))
    if node is None:
        return
    assert isinstance(node, NodeProto)
    attribute = chance.choice(node.attribute) if node.attribute else node.attribute.add(name="pads")
    kind = chance.choice(("ints", "i", "f", "s", "t", "g", "many", "type", "strings", "name", "twin"))
    if kind == "ints":
        attribute.type, attribute.ints[:] = AttributeProto.INTS, chance.choices(NUMBERS, k=chance.randrange(6))
    elif kind == "i":
        attribute.type, attribute.i = AttributeProto.INT, chance.choice(NUMBERS)
    elif kind == "f":
        attribute.type, attribute.f = AttributeProto.FLOAT, chance.choice((float("nan"), float("inf"), -1.0))
    elif kind == "s":
        attribute.type, attribute.s = AttributeProto.STRING, b"\xff\x1b]0;x\x07" * chance.choice((1, 5000))
    elif kind == "t":
        attribute.type = AttributeProto.TENSOR
        attribute.t.CopyFrom(TensorProto(data_type=chance.choice(TYPES[:-1]), dims=[chance.choice(SIZES)]))
    elif kind == "g":
        attribute.type = AttributeProto.GRAPH
        whole = GraphProto()
        whole.CopyFrom(model.graph)  # first: protobuf dies of copying a message into a part of itself
        attribute.g.CopyFrom(whole)
    elif kind == "many":
        attribute.type, attribute.ints[:] = AttributeProto.INTS, [1] * 100_000
    elif kind == "type":
        attribute.type = chance.choice((0, 1, 5, 11, 13))  # type: ignore[assignment]
    elif kind == "strings":
        attribute.type, attribute.strings[:] = AttributeProto.STRINGS, [b"\xff", b""] * 10
    elif kind == "name":
        attribute.name = chance.choice(NAMES)
    else:
        node.attribute.add().CopyFrom(attribute)


def _weights(chance: random.Random, model: ModelProto) -> None:
    tensor = _one(chance, list(model.graph.initializer))
    if tensor is None:
        return
    assert isinstance(tensor, TensorProto)
    kind = chance.choice(("short", "long", "other", "nan", "outside", "segment", "strings"))
    if kind == "short":
        tensor.raw_data = tensor.raw_data[: len(tensor.raw_data) // 2]
    elif kind == "long":
        tensor.raw_data = tensor.raw_data + b"1234567"
    elif kind == "other":
        tensor.float_data.extend([1.0, 2.0])
        tensor.int64_data.extend([1, 2])
    elif kind == "nan":
        tensor.raw_data = b"\xff" * len(tensor.raw_data)
    elif kind == "outside":
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(
            key="location", value=chance.choice(("/etc/passwd", "../x", "no file", "", "model.onnx"))
        )
        tensor.external_data.add(key="length", value=chance.choice(("-1", "x", str(2**62))))
    elif kind == "segment":
        tensor.segment.begin, tensor.segment.end = 3, 2**40
    else:
        tensor.ClearField("raw_data")
        tensor.string_data.extend([b"\xff", b"x"])


def _weight_as_input(chance: random.Random, model: ModelProto) -> None:
    if tensor := _one(chance, list(model.graph.initializer)):
        model.graph.input.append(helper.make_tensor_value_info(tensor.name, 1, [1, 2]))  # type: ignore[attr-defined]


def _sparse(chance: random.Random, model: ModelProto) -> None:
    values = helper.make_tensor("sparse", 1, [2], [1.0, 2.0])
    places = helper.make_tensor("places", 7, [2], [chance.choice(NUMBERS), 5])
    model.graph.sparse_initializer.add().CopyFrom(
        helper.make_sparse_tensor(values, places, [chance.choice((3, 10**6))])
    )


def _function(chance: random.Random, model: ModelProto) -> None:
    called = chance.choice(("F", "G"))
    node = helper.make_node(called, ["a"], ["b"], domain="own")
    function = helper.make_function("own", "F", ["a"], ["b"], [node], [helper.make_opsetid("own", 1)])
    model.functions.append(function)
    if chance.random() < 0.5 and model.graph.node:
        model.graph.node[0].op_type, model.graph.node[0].domain = "F", "own"


def _notes(chance: random.Random, model: ModelProto) -> None:
    model.metadata_props.add(key=chance.choice(NAMES), value=chance.choice(NAMES))
    model.producer_name, model.domain = chance.choice(NAMES), chance.choice(NAMES)
    model.doc_string = "\x1b[2J" * 10


def _more_outputs(chance: random.Random, model: ModelProto) -> None:
    for _ in range(chance.choice((1, 200))):
        model.graph.output.append(helper.make_tensor_value_info(chance.choice(("a", "b", *NAMES)), 1, None))


def _annotations(chance: random.Random, model: ModelProto) -> None:
    model.graph.quantization_annotation.add(tensor_name=chance.choice(NAMES))
    model.training_info.add().algorithm.CopyFrom(model.graph)


WAYS: tuple[Way, ...] = (
    _element_type, _initializer_type, _dimension, _dimension_name, _weight_sizes, _no_shape, _rank, _no_type, _other_kind,
    _cycle, _missing_input, _fewer_inputs, _more_inputs, _same_names, _renamed, _without, _no_graph, _fewer_nodes,
    _passed_through, _operator, _domain, _opsets, _ir_version, _attribute, _weights, _weight_as_input, _sparse, _function,
    _notes, _more_outputs, _annotations,
)  # fmt: skip
