"""What a graph's values decide: which sizes, branches and numbers of rounds differ from sample to sample.

Where none of them does, one run tells what every sample costs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

import onnx

from compressor.onnx_graph import links, operators
from compressor.onnx_graph.kinds import DRAWS, LISTED, PRODUCTS

SIZES = "its sizes depend on the values that go in"
ROUNDS = "how often it runs depends on the values that go in"
BRANCH = "the values that go in choose its branch"

# The inputs, from which place on, whose values set the sizes of what an operator gives out.
_SIZING = {
    **dict.fromkeys(("NonZero", "Unique", "NonMaxSuppression", "Range", "ConstantOfShape", "MelWeightMatrix"), 0),
    **dict.fromkeys(("BlackmanWindow", "HammingWindow", "HannWindow", "ImageDecoder", "StringSplit", "Tokenizer"), 0),
    **dict.fromkeys(("Reshape", "Expand", "Tile", "Slice", "Pad", "CenterCropPad", "Resize", "Upsample", "TopK"), 1),
    **dict.fromkeys(("Squeeze", "Unsqueeze", "OneHot", "Split", "SplitToSequence", "Compress", "AffineGrid"), 1),
    **dict.fromkeys(("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean"), 1),
    **dict.fromkeys(("ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare", "DFT", "STFT", "Col2Im"), 1),
    **dict.fromkeys(("SequenceAt", "SequenceErase", "SequenceInsert", "RemovePadding"), 1),
    "MaxUnpool": 2,
    "CropAndResize": 3,
}


@dataclass
class Reach:
    """Tensors that the values going in reach. values: their own values depend on those; sizes: their sizes do."""

    values: set[str] = field(default_factory=set)
    sizes: set[str] = field(default_factory=set)


def differs(node: onnx.NodeProto, reach: Reach, known: Collection[str]) -> str | None:
    """Why what this node and the graphs inside it cost may differ between samples, or None. Notes its outputs in reach.

    known: tensors whose sizes are known whole.
    """
    made, given = set(node.output) - {""}, set(node.input) - {""}
    graphs = operators.graphs(node)
    if graphs:
        return _inside(node, graphs, reach, known)
    operator = operators.kind(node)
    sizing = {*node.input[_SIZING.get(operator, 0 if operator not in LISTED else len(node.input)) :]}
    if given & reach.sizes or sizing & reach.values:
        reach.sizes |= made.difference(known)
    if operator in ("Shape", "Size"):
        reach.values |= made if given & reach.sizes else set()
    elif given & reach.values or given & reach.sizes or operator in DRAWS:
        reach.values |= made
    return SIZES if operator in PRODUCTS and (given | made) & reach.sizes else None


def _walk(nodes: Iterable[onnx.NodeProto], reach: Reach, known: Collection[str]) -> str | None:
    """The first reason among them."""
    reasons = [differs(node, reach, known) for node in nodes]
    return next(filter(None, reasons), None)


def _inside(
    node: onnx.NodeProto, graphs: Sequence[onnx.GraphProto], reach: Reach, known: Collection[str]
) -> str | None:
    """Branches and loops: their own choice first, then what is in them."""
    operator, names = operators.kind(node), [*node.input]
    if operator == "If":
        reason = None
        for graph in graphs:
            reason = _walk(graph.node, reach, known) or reason
        chosen = names[0] in reach.values
        for graph in graphs:
            _hand_over((one.name for one in graph.output), node.output, reach)
        return _noted(node, chosen, BRANCH, reach, known) or reason
    body = graphs[0]
    inner, made, decided = [one.name for one in body.input], [one.name for one in body.output], ""
    if operator == "Loop":
        chosen = any(name in reach.values for name in names[:2])
        inner, outer, decided, made = inner[2:], names[2:], made[0], made[1:]
        states = len(inner)
    else:
        outer = names[len(names) - len(inner) :]  # the oldest form begins with the lengths of the sequences
        chosen = any(name in reach.sizes for name in outer) or (len(outer) < len(names) and names[0] != "")
        states = len(inner) - int(links.attributes(node).get("num_scan_inputs", len(inner)))
    reason, before = None, -1
    while before != (before := len(reach.values) + len(reach.sizes)):
        _hand_over(outer, inner, reach)
        reason = _walk(body.node, reach, known) or reason
        _hand_over(made, inner[:states], reach)  # the next round begins where this one ended
    _hand_over(made, node.output, reach)
    return _noted(node, chosen or decided in reach.values, ROUNDS, reach, known) or reason


def _hand_over(names: Iterable[str], others: Iterable[str], reach: Reach) -> None:
    """What reaches the names reaches the others, pair by pair."""
    for name, other in zip(names, others, strict=False):
        for reached in (reach.values, reach.sizes):
            if name in reached:
                reached.add(other)


def _noted(node: onnx.NodeProto, chosen: bool, why: str, reach: Reach, known: Collection[str]) -> str | None:
    """Where the values choose, they reach all that comes out; why, where products are inside."""
    if not chosen:
        return None
    made = set(node.output) - {""}
    reach.values |= made
    reach.sizes |= made.difference(known)
    inner = operators.inside([node])
    return why if any(operators.kind(one) in PRODUCTS or operators.kind(one) not in LISTED for one in inner) else None
