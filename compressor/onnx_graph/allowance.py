"""How far another CPU's answers may be from these, measured: the operators without proof are disturbed, and the
outputs of a few samples compared.

Float results are moved by some roundings of float32, bytes by one step where a rounding could have gone either way.
What follows from that through the rest of the graph, steps that flip behind it included, is what honest CPUs differ by.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from compressor import unfinished
from compressor.onnx_graph import bits, operators, session

SHARE = 2.0**-20
"""By how much a float result is moved, as a share of the largest one in its tensor: several times what was seen."""
FLIPS = 1e-3
"""How many of the bytes that an operator without proof gives out are moved by one."""
ROUNDS, SAFETY = 6, 2.0
_LAST_DIGITS = 1e-6
_LOUDER, _LOUDEST = 4, 6
# fract(wide * sin(stride * place + seed)) looks random enough, and is the same in every run.
_SPREAD = {"one": 1, "unit": 1.0, "two": 2.0, "stride": 12.9898, "wide": 43758.547}


@dataclass(frozen=True)
class Allowance:
    """What another CPU may show of a sample's largest difference, in the output's unit: at most, and in the median.

    Where a step flips in one sample of many, `largest` is what that does and `median` next to nothing: an altered
    weight moves every sample.
    """

    largest: float
    median: float


def allowance(path: Path, inputs: np.ndarray, outputs: np.ndarray) -> Allowance:
    """How far from `outputs` [n, …], which the graph gave for `inputs` [n, …], another CPU's may be; 0 where every
    operator gives the same bits everywhere."""
    optimised = operators.optimised(path)
    doubts = list(bits.doubtful(optimised.graph, bits.spatial_counts(path)))
    if not doubts:
        return Allowance(0.0, 0.0)
    largest = median = 0.0
    with unfinished.folder() as folder:
        file = folder / "disturbed.onnx"
        kinds = _kinds(optimised, doubts, file)
        for louder in range(_LOUDEST):
            for number in range(ROUNDS):
                onnx.save(_disturbed(optimised, kinds, number, _LOUDER**louder), file)
                each = np.abs(session.predict(file, [inputs], 1) - outputs).reshape(len(outputs), -1).max(1, initial=0)
                largest = max(largest, float(each.max(initial=0)))
                median = max(median, float(np.median(each)) if louder == 0 else 0.0)
            if largest > 0:
                break
    digits = _LAST_DIGITS * float(np.abs(outputs).max(initial=0))
    return Allowance(*(float(np.float32(SAFETY * found + digits)) for found in (largest, median)))


def _kinds(model: onnx.ModelProto, names: Iterable[str], file: Path) -> dict[str, bool]:
    """Whether each tensor holds bytes (else float numbers); others are left out."""
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    present = {value.name for value in watched.graph.output}
    watched.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in present)
    onnx.save(watched, file)
    types = {value.name: value.type for value in session.make_session(file, 1).get_outputs()}
    return {name: types[name] == "tensor(uint8)" for name in names if types[name] in ("tensor(uint8)", "tensor(float)")}


def _disturbed(model: onnx.ModelProto, kinds: dict[str, bool], number: int, louder: int) -> onnx.ModelProto:
    """A copy whose doubtful results are moved at random, otherwise for each number, more the louder."""
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    graph = changed.graph
    for name, value in (
        ("share", SHARE * louder),
        ("few", min(0.25, FLIPS * louder / 2)),
        ("zero", 0),
        ("most", 255),
        *_SPREAD.items(),
    ):
        kind = np.float32 if isinstance(value, float) else np.int32
        graph.initializer.append(numpy_helper.from_array(np.array(value, kind), f"disturb/{name}"))
    nodes = list(graph.node)
    del graph.node[:]
    for place, node in enumerate(nodes):
        graph.node.append(node)
        if node.output[0] in kinds:
            name = node.output[0]
            graph.node[-1].output[0] = f"disturb/{name}"
            build = _move_bytes if kinds[name] else _move_floats
            graph.node.extend(build(f"disturb/{name}", name, float(1 + 10_000 * number + place)))
    return changed


def _uniform(old: str, new: str, seed: float) -> list[onnx.NodeProto]:
    """A number in [0, 1) for each place in `old`: onnxruntime has no RandomUniformLike in every operator set."""
    start = f"{new}/seed"
    return [
        helper.make_node("Constant", [], [start], value_float=seed),
        helper.make_node("Size", [old], [f"{new}/size_64"]),
        helper.make_node("Cast", [f"{new}/size_64"], [f"{new}/size"], to=TensorProto.INT32),
        helper.make_node("Range", ["disturb/zero", f"{new}/size", "disturb/one"], [f"{new}/places"]),
        helper.make_node("Cast", [f"{new}/places"], [f"{new}/numbers"], to=TensorProto.FLOAT),
        helper.make_node("Mul", [f"{new}/numbers", "disturb/stride"], [f"{new}/strides"]),
        helper.make_node("Add", [f"{new}/strides", start], [f"{new}/angles"]),
        helper.make_node("Sin", [f"{new}/angles"], [f"{new}/waves"]),
        helper.make_node("Mul", [f"{new}/waves", "disturb/wide"], [f"{new}/spread"]),
        helper.make_node("Floor", [f"{new}/spread"], [f"{new}/floors"]),
        helper.make_node("Sub", [f"{new}/spread", f"{new}/floors"], [f"{new}/flat"]),
        helper.make_node("Shape", [old], [f"{new}/shape"]),
        helper.make_node("Reshape", [f"{new}/flat", f"{new}/shape"], [new], allowzero=1),
    ]


def _move_floats(old: str, new: str, seed: float) -> list[onnx.NodeProto]:
    return [
        *_uniform(old, f"{old}/random", seed),
        helper.make_node("Mul", [f"{old}/random", "disturb/two"], [f"{old}/doubled"]),
        helper.make_node("Sub", [f"{old}/doubled", "disturb/unit"], [f"{old}/signed"]),
        helper.make_node("Abs", [old], [f"{old}/size"]),
        helper.make_node("ReduceMax", [f"{old}/size"], [f"{old}/largest"], keepdims=0),
        helper.make_node("Mul", [f"{old}/largest", "disturb/share"], [f"{old}/reach"]),
        helper.make_node("Mul", [f"{old}/signed", f"{old}/reach"], [f"{old}/move"]),
        helper.make_node("Add", [old, f"{old}/move"], [new]),
    ]


def _move_bytes(old: str, new: str, seed: float) -> list[onnx.NodeProto]:
    random, other = f"{old}/random", f"{old}/other"
    return [
        *_uniform(old, random, seed),
        *_uniform(old, other, seed + 0.5),
        helper.make_node("Less", [random, "disturb/few"], [f"{old}/is_up"]),
        helper.make_node("Less", [other, "disturb/few"], [f"{old}/is_down"]),
        helper.make_node("Cast", [f"{old}/is_up"], [f"{old}/up"], to=TensorProto.INT32),
        helper.make_node("Cast", [f"{old}/is_down"], [f"{old}/down"], to=TensorProto.INT32),
        helper.make_node("Cast", [old], [f"{old}/whole"], to=TensorProto.INT32),
        helper.make_node("Add", [f"{old}/whole", f"{old}/up"], [f"{old}/raised"]),
        helper.make_node("Sub", [f"{old}/raised", f"{old}/down"], [f"{old}/moved"]),
        helper.make_node("Clip", [f"{old}/moved", "disturb/zero", "disturb/most"], [f"{old}/kept"]),
        helper.make_node("Cast", [f"{old}/kept"], [new], to=TensorProto.UINT8),
    ]
