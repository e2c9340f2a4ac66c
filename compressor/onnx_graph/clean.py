"""Makes an ONNX graph say what it computes and nothing about who made it, where and when."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from compressor.errors import StepError

PRODUCER = "compressor"
_WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps the warnings, prints and log lines of the libraries inside from the user."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def strip(model: onnx.ModelProto) -> None:
    """Removes doc strings, metadata (stack traces, paths), shape notes, operator sets without an operator and the
    producer's version, in place."""
    model.producer_name, model.producer_version, model.domain, model.doc_string = PRODUCER, "", "", ""
    model.model_version = 0
    del model.metadata_props[:]
    del model.graph.value_info[:]
    for function in model.functions:
        function.doc_string = ""
        del function.metadata_props[:]
        del function.value_info[:]
        for node in function.node:
            _strip_node(node)
    _strip_graph(model.graph)
    # onnxruntime lists all the operator sets it knows, and older releases refuse a file that names a newer one.
    used = {"", "ai.onnx", *_domains(model.graph.node)}
    used.update(*({entry.domain for entry in function.opset_import} for function in model.functions))
    for entry in [entry for entry in model.opset_import if entry.domain not in used]:
        model.opset_import.remove(entry)


def _domains(nodes: Sequence[onnx.NodeProto]) -> set[str]:
    """The operator sets that the nodes and those inside them come from."""
    inner = [graph for node in nodes for attribute in node.attribute for graph in (attribute.g, *attribute.graphs)]
    return {node.domain for node in nodes}.union(*(_domains(graph.node) for graph in inner))


def _strip_graph(graph: onnx.GraphProto) -> None:
    graph.doc_string = ""
    del graph.metadata_props[:]
    for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        value.doc_string = ""
        del value.metadata_props[:]
    for node in graph.node:
        _strip_node(node)


def _strip_node(node: onnx.NodeProto) -> None:
    node.doc_string = ""
    del node.metadata_props[:]
    for attribute in node.attribute:
        attribute.doc_string = ""
        if attribute.HasField("g"):
            _strip_graph(attribute.g)
        for graph in attribute.graphs:
            _strip_graph(graph)


def rename(model: onnx.ModelProto, name: str = "core") -> None:
    """Names nodes and inner values by their place in the graph: the exporter's counters depend on the process.

    A node with weights is called by them: `layer1.0.conv1` has the weights `layer1.0.conv1.weight`.
    """
    graph = model.graph
    graph.name = name
    fixed = {value.name for value in (*graph.input, *graph.output)} | {tensor.name for tensor in graph.initializer}
    weights = {tensor.name for tensor in graph.initializer if len(tensor.dims) >= 2}
    taken: set[str] = set()
    values: dict[str, str] = {}
    for place, node in enumerate(graph.node):
        node.name = _node_name(node, place, weights, taken)
        for number, value in enumerate(node.output):
            if value and value not in fixed:
                values[value] = f"{node.name}:{number}" if number else f"{node.name}:out"
    for node in graph.node:
        _apply(node, values)


def _node_name(node: onnx.NodeProto, place: int, weights: set[str], taken: set[str]) -> str:
    owner = next((value for value in node.input[1:2] if value in weights), "") if node.op_type in _WEIGHTED else ""
    name = owner.removesuffix(".weight") if owner.endswith(".weight") else f"{node.op_type.lower()}_{place}"
    if name in taken:
        name = f"{name}_{place}"
    taken.add(name)
    return name


def _apply(node: onnx.NodeProto, values: dict[str, str]) -> None:
    for names in (node.input, node.output):
        for number, value in enumerate(names):
            names[number] = values.get(value, value)
    for attribute in node.attribute:
        for inner in attribute.g.node if attribute.HasField("g") else ():
            _apply(inner, values)


def flush_subnormals(model: onnx.ModelProto) -> int:
    """Sets float32 weights too small for full precision to zero, in place, and tells how many there were.

    Arithmetic with such numbers is up to 34 times slower on CPUs, and they carry nothing.
    """
    smallest = np.finfo(np.float32).tiny
    count = 0
    for tensor in model.graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(tensor)
        tiny = (values != 0) & (np.abs(values) < smallest)
        if tiny.any():
            count += int(tiny.sum())
            tensor.CopyFrom(numpy_helper.from_array(np.where(tiny, np.float32(0), values), tensor.name))
    return count


def save(model: onnx.ModelProto, path: Path, where: str) -> None:
    """Checks the graph fully and writes it as one file whose bytes depend on the graph alone.

    Errors: StepError when the graph is not valid ONNX or takes more than the 2 GB of one file.
    """
    try:
        data = model.SerializeToString(deterministic=True)
        onnx.checker.check_model(data, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        what = f"the graph is not valid ONNX ({first_line(error)})"
        raise StepError(where, what, "report this with the log") from error
    except ValueError as error:
        what = f"the graph does not fit into one ONNX file ({first_line(error)})"
        raise StepError(where, what, "use a smaller network") from error
    path.write_bytes(data)


def first_line(error: BaseException) -> str:
    """The first line of a library's message that says something, at most 200 characters."""
    lines = (line.strip() for line in str(error).splitlines())
    return next((line for line in lines if line), type(error).__name__)[:200]
