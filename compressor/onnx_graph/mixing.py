"""Which node of an ONNX file makes a sample's answer depend on the other samples of its batch, and in what words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from compressor import unfinished
from compressor.models import company
from compressor.onnx_graph import links, operators, session
from compressor.onnx_graph.kinds import DRAWS

Placed = tuple[np.ndarray, int]
"""A batch as the file takes it, and the place of the sample that is looked at."""
AT_ONCE = 100
"""Tensors kept of one run: all of a large network at once would fill the memory."""
CLEARLY, CLEARLY_DYNAMIC = 1e-4, 0.2
"""Shares of a tensor's largest number: beyond it is no rounding; the second where scales are taken from the batch."""
_SIZES = frozenset({"Shape", "Size"})
_HALVES = frozenset({TensorProto.FLOAT16, TensorProto.BFLOAT16})


@dataclass(frozen=True)
class Kinds:
    """half: some of its numbers have 16 bits. dynamic: it takes the scales of integers from each batch."""

    half: bool
    dynamic: bool


def kinds(model: onnx.ModelProto) -> Kinds:
    """What a graph is made of that rounds more than float32 does."""
    half = any(tensor.data_type in _HALVES for tensor in model.graph.initializer)
    nodes = list(operators.walk(model))
    casts = (links.attributes(node).get("to") for node in nodes if node.op_type == "Cast")
    dynamic = any(node.op_type.startswith("Dynamic") for node in nodes)
    return Kinds(half or any(to in _HALVES for to in casts), dynamic)


def why(path: Path, one: Placed, other: Placed, *, again: bool, count: int) -> tuple[str, str]:
    """The cause and what to do, for a sample that is answered otherwise in the batch `other` than in `one`.

    again: the two batches are the same. count: how many samples `other` was made of.
    """
    model = onnx.load(path)
    nodes = list(operators.walk(model))
    share = CLEARLY_DYNAMIC if kinds(model).dynamic else CLEARLY
    held = links.constants(model.graph)
    drawn = next((node for node in nodes if _draws(node, held)), None) if again else None
    try:
        found = None if drawn is not None else _first(model, one, other, share)
    except Exception:  # a graph that cannot be taken apart here is still one that mixes its samples
        found = None
    if again:
        # onnxruntime keeps what such a node has gathered, in some of its fusions.
        gathers = (node for node in nodes if links.attributes(node).get("training_mode"))
        return _drawn(drawn or (found[0] if found else next(gathers, None)))
    effect = company.effect(count)
    if found is None and (scaled := next((node for node in nodes if node.op_type.startswith("Dynamic")), None)):
        found = scaled, False
    if found is None:
        return company.unlike(count, len(one[0])), "export a network that computes within each sample"
    node, by_size = found
    if by_size:
        what = f"{_named(node)} computes with the size of the batch, {effect}"
        return what, "export a network that does not ask for the size of the batch"
    return _mixes(node, effect, count)


def size_words(path: Path, failed: str, told: str, *, alone: bool) -> tuple[str, str]:
    """The cause and what to do, for a batch of a size that the file cannot answer. told: what onnxruntime said. alone:
    the batch is one sample."""
    graph = onnx.load(path, load_external_data=False).graph
    held = links.constants(graph)
    dropped = next((node for node in graph.node if _drops_the_batch(node, held)), None) if alone else None
    if dropped is not None:
        what = company.dropping(_named(dropped), f": {failed}")
        return what, f"{company.NAME_AXES}, and export the network again"
    for node, size in fixed_shapes(graph):
        if not told or (node.name and node.name in told):
            return one_size_words(node, size, failed)
    return failed, "export it with a batch that is open everywhere, or fix the batch of its input"


def rows_words(path: Path, one: np.ndarray, other: np.ndarray, answered: str) -> tuple[str, str]:
    """The cause and what to do, for a file whose output has not a row for each sample. one, other: a batch of samples
    and one of its last sample as often. answered: what it gives."""
    try:
        found = _first(onnx.load(path), (one, len(one) - 1), (other, len(one) - 1), CLEARLY)
    except Exception:  # a graph that cannot be taken apart here still gives what it gives
        found = None
    cause = f": {_named(found[0])} takes samples together" if found else ""
    return f"{answered}, where each needs a row of its own{cause}", f"{company.WITHIN}, and export the network again"


def fixed_shapes(graph: onnx.GraphProto) -> list[tuple[onnx.NodeProto, int]]:
    """Nodes that give their result a written shape, and the number that stands where the batch does."""
    held = links.constants(graph)
    found = []
    for node in graph.node:
        sizes = node.input[1] if node.op_type in ("Reshape", "Expand") and len(node.input) > 1 else ""
        shape = _value(held, sizes)
        if shape is not None and shape.size and shape[0] > 0:
            found.append((node, int(shape[0])))
    return found


def one_size_words(node: onnx.NodeProto, size: int, failed: str) -> tuple[str, str]:
    """The cause and what to do, where a node asks for one size of the batch. failed: what happens otherwise."""
    return (
        f"{_named(node)} is written for batches of {size}: {failed}",
        f"export it with a batch that is open everywhere, or fix the batch of its input to {size}",
    )


def _first(model: onnx.ModelProto, one: Placed, other: Placed, share: float) -> tuple[onnx.NodeProto, bool] | None:
    """The first node whose result for the sample differs between the two batches by more than a share of it, and
    whether that follows from the size of the batch alone."""
    derived = _from_sizes(model.graph)
    sized: dict[str, onnx.NodeProto] = {}
    for node, mine, theirs in _results(model, one[0], other[0]):
        if mine.dtype.kind not in "fiu" or mine.dtype in (np.int32, np.int64) or not mine.size:
            continue
        a, b = _of_sample(mine, len(one[0]), one[1]), _of_sample(theirs, len(other[0]), other[1])
        if a.shape != b.shape:
            continue
        a, b = a.astype(np.float64), b.astype(np.float64)
        # Masks of attention hold infinities, whose difference is no number.
        unlike = (a != b) & ~(np.isnan(a) & np.isnan(b))
        apart = np.abs(a[unlike] - b[unlike]).max(initial=0)
        largest = np.abs(a[np.isfinite(a)]).max(initial=0)
        if apart <= max(share * largest, 2.0 * (mine.dtype.kind in "iu")):
            continue
        if node.output[0] not in derived:
            size = next((sized[name] for name in node.input if name in sized), None)
            return (node, False) if size is None else (size, True)
        sized.update(dict.fromkeys(node.output, node))
    return None


def _results(
    model: onnx.ModelProto, one: np.ndarray, other: np.ndarray
) -> Iterator[tuple[onnx.NodeProto, np.ndarray, np.ndarray]]:
    """Every tensor of the graph for both batches, in the graph's order, with the node that gives it."""
    makers = links.makers(model.graph)
    names = [name for name in makers if name]
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    with unfinished.folder() as folder:
        file = folder / "watched.onnx"
        for start in range(0, len(names), AT_ONCE):
            chosen = names[start : start + AT_ONCE]
            del watched.graph.output[:]
            watched.graph.output.extend(onnx.ValueInfoProto(name=name) for name in chosen)
            onnx.save(watched, file)
            opened = session.make_session(file, 1, optimize=False)
            source = opened.get_inputs()[0].name
            found, again = opened.run(None, {source: one}), opened.run(None, {source: other})
            for name, mine, theirs in zip(chosen, found, again, strict=True):
                if isinstance(mine, np.ndarray) and isinstance(theirs, np.ndarray):
                    yield makers[name], mine, theirs


def _of_sample(values: np.ndarray, count: int, place: int) -> np.ndarray:
    """One sample's part, along the first axis of the batch's size, or of a multiple of it; all where there is none."""
    if values.ndim and values.shape[0] % count == 0 and values.shape[0]:
        rows = values.shape[0] // count
        return values[place * rows : (place + 1) * rows]
    axis = next((axis for axis, size in enumerate(values.shape) if size == count), None)
    return values if axis is None else values.take([place], axis)


def _from_sizes(graph: onnx.GraphProto) -> set[str]:
    """Tensors that depend on the sizes of others and on constants alone."""
    constant = {tensor.name for tensor in graph.initializer}
    found: set[str] = set()
    for node in graph.node:
        given = [name for name in node.input if name]
        follows = all(name in found or name in constant for name in given)
        if node.op_type in _SIZES or (given and not operators.graphs(node) and follows):
            found.update(node.output)
        elif not given and node.op_type == "Constant":
            constant.update(node.output)
    return found


def _drawn(node: onnx.NodeProto | None) -> tuple[str, str]:
    if node is None:
        return "answers the same samples otherwise each time", "export a network that depends on its input alone"
    if node.op_type == "BatchNormalization":
        return _mixes(node, company.EACH_TIME, 0)
    if node.op_type == "Dropout":
        todo = "export the network in eval mode (`model.eval()`), with no dropout left in training mode"
        return f"{_named(node)} draws random numbers, {company.EACH_TIME}", todo
    what = "draws random numbers" if node.op_type in DRAWS else "computes otherwise each time"
    return f"{_named(node)} {what}, {company.EACH_TIME}", "export a network that depends on its input alone"


def _draws(node: onnx.NodeProto, held: Mapping[str, TensorProto]) -> bool:
    if node.op_type != "Dropout":
        return node.op_type in DRAWS
    training = _value(held, node.input[2]) if len(node.input) > 2 else None
    return training is not None and bool(training.any())


def _mixes(node: onnx.NodeProto, effect: str, count: int) -> tuple[str, str]:
    kind, named = node.op_type, _named(node)
    if kind == "BatchNormalization":
        what = company.normalising(named, ", as in training", effect)
        return what, "export the network in eval mode: `model.eval()` before `torch.onnx.export`"
    if kind.startswith("Dynamic"):
        what = f"{named} takes the scale of its integers from the whole batch, {effect}"
        return what, "quantize with static scales, or fix the batch of its input to 1"
    if kind == "If":
        return company.path(named, count), "export a network that does not ask for the size of the batch"
    if kind in ("Softmax", "LogSoftmax"):
        return company.softmax(named, effect), f"{company.OVER_CLASSES} (axis 1)"
    return company.mixing(named, effect), f"{company.WITHIN}, and export the network again"


def _drops_the_batch(node: onnx.NodeProto, held: Mapping[str, TensorProto]) -> bool:
    if node.op_type != "Squeeze":
        return False
    axes = links.attributes(node).get("axes")
    if len(node.input) > 1 and node.input[1]:
        given = _value(held, node.input[1])
        return given is not None and bool((given == 0).any())
    return axes is None or 0 in axes


def _value(held: Mapping[str, TensorProto], name: str) -> np.ndarray | None:
    return numpy_helper.to_array(held[name]) if name in held else None


def _named(node: onnx.NodeProto) -> str:
    """`Squeeze` (`/body/Squeeze`)."""
    name = node.name or next(filter(None, node.output), "")
    return f"its node `{name}` ({node.op_type})"
