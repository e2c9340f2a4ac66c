"""Which nodes one run of a graph executes, how often, and on tensors of which sizes, as onnxruntime's profile tells."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort

from compressor import unfinished
from compressor.onnx_graph import links, operators
from compressor.onnx_graph.macs import Shape
from compressor.onnx_graph.session import make_session

LONGEST, LARGEST = 20.0, 2**26
"""Seconds of a run that is watched, and bytes of what onnxruntime writes about it: half a kilobyte for each node that
runs, which for a loop of many rounds fills any disk."""
_END = "_kernel_time"


def executed(model: onnx.ModelProto) -> Iterator[tuple[int, onnx.NodeProto, dict[str, Shape]]]:
    """Each time that a node of the graph runs on one sample of zeros, those of branches and loops among them: the
    place of the graph's own node that it is inside, the node, and the sizes of its tensors.

    The model's sizes are numbers, and its functions written out. What onnxruntime puts in place of a node is not told.

    Raises:
        ValueError: too much ran. Whatever onnxruntime raises, for one where it takes longer than `LONGEST`.
    """
    named = onnx.ModelProto()
    named.CopyFrom(model)
    nodes: dict[str, tuple[int, onnx.NodeProto]] = {}
    for place, (node, copied) in enumerate(zip(model.graph.node, named.graph.node, strict=True)):
        for one, renamed in zip(operators.inside([node]), operators.inside([copied]), strict=True):
            renamed.name = str(len(nodes))
            nodes[renamed.name] = place, one
    for event in _profile(named):
        number = event["name"].removesuffix(_END)
        if number != event["name"] and number in nodes:
            place, node = nodes[number]
            arguments = event["args"]
            sizes = _paired(node.input, arguments["input_type_shape"])
            yield place, node, sizes | _paired(node.output, arguments["output_type_shape"])


def _profile(model: onnx.ModelProto) -> list[dict[str, Any]]:
    feed = {}
    for value in links.fed(model.graph):
        tensor = value.type.tensor_type
        sizes = [dim.dim_value for dim in tensor.shape.dim]
        feed[value.name] = np.zeros(sizes, onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type))
    with unfinished.folder() as folder:
        path = folder / "named.onnx"
        onnx.save(model, path)
        session = make_session(path, 1, optimize=False, profile=folder / "profile")
        options = ort.RunOptions()
        clock = threading.Timer(LONGEST, setattr, (options, "terminate", True))
        clock.start()
        try:
            session.run(None, feed, options)
        finally:
            clock.cancel()
            told = Path(session.end_profiling())
        if told.stat().st_size > LARGEST:
            raise ValueError("too much ran")
        events: list[dict[str, Any]] = json.loads(told.read_text(encoding="utf-8"))
    if not any(event["name"] == "model_run" for event in events):
        raise ValueError("the profile has no room for all that ran")
    return events


def _paired(names: Iterable[str], shapes: list[dict[str, list[int]]]) -> dict[str, Shape]:
    """The sizes by the tensors' names; none where sequences are among them, which have no size."""
    given = [name for name in names if name]
    if len(given) != len(shapes):
        return {}
    return {name: tuple(*one.values()) for name, one in zip(given, shapes, strict=True)}
