"""Graphs that are valid, or nearly, and made to take hold of a machine: each is a file of a few kilobytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Make = Callable[[], onnx.ModelProto]


def model(
    nodes: Sequence[onnx.NodeProto],
    initializers: Sequence[onnx.TensorProto] = (),
    functions: Sequence[onnx.FunctionProto] = (),
) -> onnx.ModelProto:
    """pixels uint8 [batch, 8, 8, 1] to `probabilities` [batch, 10], as the tests' bundle has it; the nodes make
    `extra`, a number that is added."""
    answer = [
        helper.make_node("Cast", ["pixels"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["float"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weight"], ["scores"]),
        helper.make_node("Add", ["scores", "extra"], ["probabilities"]),
    ]
    graph = helper.make_graph(
        [*nodes, *answer], "g",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["batch", 8, 8, 1])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 10])],
        [numpy_helper.from_array(np.ones((64, 10), np.float32), "weight"), *initializers],
    )  # fmt: skip
    sets = [helper.make_opsetid("", 21), *([helper.make_opsetid("own", 1)] if functions else [])]
    return helper.make_model(graph, opset_imports=sets, ir_version=10, functions=list(functions))


def number(name: str, value: float | Sequence[int], dtype: type = np.int64) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array(value, dtype), name)


def loop() -> onnx.ModelProto:
    """2^62 rounds."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["go_on"]), helper.make_node("Add", ["x", "x"], ["y"])], "body",
        [helper.make_tensor_value_info("i", TensorProto.INT64, []),
         helper.make_tensor_value_info("go", TensorProto.BOOL, []),
         helper.make_tensor_value_info("x", TensorProto.FLOAT, [])],
        [helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
         helper.make_tensor_value_info("y", TensorProto.FLOAT, [])],
    )  # fmt: skip
    node = helper.make_node("Loop", ["rounds", "yes", "zero"], ["extra"], body=body)
    return model([node], [number("rounds", 2**62), number("yes", True, np.bool_), number("zero", 0, np.float32)])


def loop_without_an_end() -> onnx.ModelProto:
    """No number of rounds, and a condition that stays true."""
    made = loop()
    made.graph.node[0].input[0] = ""
    return made


def bomb(levels: int = 40, calls: int = 2) -> onnx.ModelProto:
    """Functions that call functions: calls ^ levels nodes."""
    sets = [helper.make_opsetid("", 21), helper.make_opsetid("own", 1)]
    functions = [helper.make_function("own", "F0", ["a"], ["b"], [helper.make_node("Neg", ["a"], ["b"])], sets)]
    for level in range(1, levels):
        names = ["a", *(f"t{place}" for place in range(calls - 1)), "b"]
        inner = [
            helper.make_node(f"F{level - 1}", [names[place]], [names[place + 1]], domain="own")
            for place in range(calls)
        ]
        functions.append(helper.make_function("own", f"F{level}", ["a"], ["b"], inner, sets))
    call = helper.make_node(f"F{levels - 1}", ["zero"], ["extra"], domain="own")
    return model([call], [number("zero", 0, np.float32)], functions)


def endless_function() -> onnx.ModelProto:
    """A function that calls itself."""
    sets = [helper.make_opsetid("", 21), helper.make_opsetid("own", 1)]
    inner = helper.make_node("F", ["a"], ["b"], domain="own")
    function = helper.make_function("own", "F", ["a"], ["b"], [inner], sets)
    return model(
        [helper.make_node("F", ["zero"], ["extra"], domain="own")], [number("zero", 0, np.float32)], [function]
    )


def chain(length: int = 60_000) -> onnx.ModelProto:
    nodes = [helper.make_node("Neg", [f"t{place}"], [f"t{place + 1}"]) for place in range(length - 1)]
    nodes.append(helper.make_node("Neg", [f"t{length - 1}"], ["extra"]))
    return model(nodes, [number("t0", 0, np.float32)])


def nested(levels: int = 60) -> onnx.ModelProto:
    """A branch in a branch in a branch."""
    inner = [helper.make_node("Neg", ["zero"], ["y"])]
    for _ in range(levels):
        branch = helper.make_graph(inner, "b", [], [helper.make_tensor_value_info("y", TensorProto.FLOAT, [])])
        inner = [helper.make_node("If", ["yes"], ["y"], then_branch=branch, else_branch=branch)]
        if len(branch.SerializeToString()) > 2**20:  # both branches would double it at every level
            break
    inner[0].output[0] = "extra"
    return model(inner, [number("yes", True, np.bool_), number("zero", 0, np.float32)])


def deep(levels: int) -> onnx.ModelProto:
    """A loop in a loop in a loop."""
    ports = [("i", TensorProto.INT64), ("go", TensorProto.BOOL), ("x", TensorProto.FLOAT)]
    inputs = [helper.make_tensor_value_info(name, kind, []) for name, kind in ports]
    outputs = [helper.make_tensor_value_info("yes_", TensorProto.BOOL, []),
               helper.make_tensor_value_info("y", TensorProto.FLOAT, [])]  # fmt: skip
    inner = helper.make_node("Neg", ["x"], ["y"])
    for _ in range(levels):
        body = helper.make_graph([helper.make_node("Identity", ["go"], ["yes_"]), inner], "b", inputs, outputs)
        inner = helper.make_node("Loop", ["one", "yes", "x"], ["y"], body=body)
    inner.input[2], inner.output[0] = "zero", "extra"
    return model([inner], [number("one", 1), number("yes", True, np.bool_), number("zero", 0, np.float32)])


def buried(levels: int) -> bytes:
    """A graph in a graph in a graph, deeper than onnx's own writer would go."""

    def field(number: int, data: bytes) -> bytes:
        size, length = len(data), b""
        while size > 127:
            length, size = length + bytes([size & 127 | 128]), size >> 7
        return bytes([number << 3 | 2]) + length + bytes([size]) + data

    graph = b""
    for _ in range(levels):
        graph = field(1, field(5, field(6, graph)))
    return field(7, graph)


def filled(kind: str = "ConstantOfShape", gigabytes: int = 64) -> onnx.ModelProto:
    """A constant of so much memory, made from a few bytes."""
    count = gigabytes * 2**28
    zero, many = number("zero", [0], np.float32), number("many", [count])
    makers = {
        "ConstantOfShape": (["many"], [many]),
        "Expand": (["zero", "many"], [zero, many]),
        "Tile": (["zero", "many"], [zero, many]),
        "Range": (
            ["a", "b", "c"],
            [number(name, value, np.float32) for name, value in zip("abc", (0, count, 1), strict=True)],
        ),
    }
    inputs, initializers = makers[kind]
    nodes = [helper.make_node(kind, inputs, ["large"]), helper.make_node("ReduceMax", ["large"], ["extra"], keepdims=0)]
    return model(nodes, initializers)


def grown() -> onnx.ModelProto:
    """Memory that doubles from node to node, and depends on what goes in, so that nothing is known beforehand."""
    nodes = [helper.make_node("Cast", ["pixels"], ["t0"], to=TensorProto.FLOAT)]
    nodes += [helper.make_node("Concat", [f"t{place}"] * 2, [f"t{place + 1}"], axis=1) for place in range(28)]
    nodes += [helper.make_node("ReduceMax", ["t28"], ["extra"], keepdims=0)]
    return model(nodes)


def slow() -> onnx.ModelProto:
    """A product of matrices that takes hours in little memory."""
    nodes = [helper.make_node("ConstantOfShape", ["many"], ["a"])]
    nodes += [
        helper.make_node("MatMul", [f"{'a' if not place else f't{place}'}", "a"], [f"t{place + 1}"])
        for place in range(2000)
    ]
    nodes += [helper.make_node("Cast", ["pixels"], ["f"], to=TensorProto.FLOAT),
              helper.make_node("ReduceMax", ["f"], ["m"], keepdims=0),
              helper.make_node("Mul", ["t2000", "m"], ["n"]),
              helper.make_node("ReduceMax", ["n"], ["extra"], keepdims=0)]  # fmt: skip
    return model(nodes, [number("many", [4000, 4000])])


def hollow(dims: Sequence[int] = (2**30,), kind: int = TensorProto.FLOAT) -> onnx.ModelProto:
    """A weight that says it is 4 GB, without data."""
    tensor = onnx.TensorProto(name="large", data_type=kind, dims=dims)
    return model([helper.make_node("ReduceMax", ["large"], ["extra"], keepdims=0)], [tensor])


def short_weights() -> onnx.ModelProto:
    tensor = onnx.TensorProto(name="large", data_type=TensorProto.FLOAT, dims=[2**30], raw_data=b"\0" * 16)
    return model([helper.make_node("ReduceMax", ["large"], ["extra"], keepdims=0)], [tensor])


def negative() -> onnx.ModelProto:
    return hollow((-4,))


def sparse() -> onnx.ModelProto:
    """A constant of 4 TB with one number in it."""
    values, places = number("v", [1], np.float32), number("i", [0])
    node = helper.make_node("Constant", [], ["large"], sparse_value=helper.make_sparse_tensor(values, places, [2**40]))
    return model([node, helper.make_node("ReduceMax", ["large"], ["extra"], keepdims=0)])


def unknown_type() -> onnx.ModelProto:
    made = model([helper.make_node("Identity", ["zero"], ["extra"])], [number("zero", 0, np.float32)])
    made.graph.input[0].type.tensor_type.elem_type = 99
    return made


def unknown_weight_type() -> onnx.ModelProto:
    return hollow((1,), 77)


def no_tensor() -> onnx.ModelProto:
    made = model([helper.make_node("Identity", ["zero"], ["extra"])], [number("zero", 0, np.float32)])
    made.graph.input[0].type.Clear()
    made.graph.input[0].type.sequence_type.elem_type.tensor_type.elem_type = TensorProto.UINT8
    return made


def unknown_operator() -> onnx.ModelProto:
    return model([helper.make_node("Frobnicate", ["zero"], ["extra"])], [number("zero", 0, np.float32)])


def foreign_operators() -> onnx.ModelProto:
    made = model(
        [helper.make_node("Open", ["zero"], ["extra"], domain="ai.onnx.contrib")], [number("zero", 0, np.float32)]
    )
    made.opset_import.append(helper.make_opsetid("ai.onnx.contrib", 1))
    return made


def future() -> onnx.ModelProto:
    made = model([helper.make_node("Identity", ["zero"], ["extra"])], [number("zero", 0, np.float32)])
    made.opset_import[0].version, made.ir_version = 999, 99
    return made


def long_list() -> onnx.ModelProto:
    """An attribute of two and a half million numbers."""
    node = helper.make_node("Constant", [], ["list"])
    node.attribute.append(onnx.AttributeProto(name="value_ints", type=onnx.AttributeProto.INTS, ints=[7] * 2_500_000))
    ends = [helper.make_node("Cast", ["list"], ["f"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMax", ["f"], ["extra"], keepdims=0)]  # fmt: skip
    return model([node, *ends])


def external(location: str = "/etc/passwd") -> onnx.ModelProto:
    tensor = onnx.TensorProto(name="zero", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=location)
    return model([helper.make_node("ReduceMax", ["zero"], ["extra"], keepdims=0)], [tensor])


def external_in_a_function() -> onnx.ModelProto:
    made = bomb(2)
    constant = helper.make_node("Constant", [], ["c"], value=external().graph.initializer[1])
    made.functions[0].node.insert(0, constant)
    return made


BOUNDED: dict[str, Make] = {
    make.__name__: make
    for make in (bomb, endless_function, chain, nested, hollow, short_weights, negative, sparse, unknown_type,
                 unknown_weight_type, foreign_operators, long_list, external, external_in_a_function)
}  # fmt: skip
"""Refused before a session is made."""
RUN: dict[str, Make] = {make.__name__: make for make in (no_tensor, unknown_operator, future)}
"""Refused by the libraries, in a process of its own."""
SLOW: dict[str, Make] = {make.__name__: make for make in (loop, loop_without_an_end, slow)}
"""Ended when their time is over."""
LARGE: dict[str, Make] = {
    "grown": grown,
    **{kind: lambda kind=kind: filled(kind) for kind in ("ConstantOfShape", "Expand", "Tile", "Range")},  # type: ignore[misc]
    "ConstantOfShape of 8 GB": lambda: filled("ConstantOfShape", 8),
}
"""Ended when they take too much memory."""
