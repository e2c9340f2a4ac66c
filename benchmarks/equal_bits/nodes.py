"""All inputs of every operator of a graph that rounds between bytes, as one small ONNX file; runs anywhere.

`python nodes.py FOLDER` runs each FOLDER/*.nodes.onnx here and keeps its outputs in FOLDER/out/NAME.npz; it needs
onnxruntime and numpy alone, so that an emulated CPU can do it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

MOST = 256
"""The largest average of which every sum is tried."""
CONVOLUTIONS, CHANNELS = 12, 512
"""How many convolutions' scalings are tried, over how many times 256 integer sums, from the smallest byte upwards."""


def collect(path: Path, target: Path) -> int:
    """Write the nodes of the graph at `path`, as onnxruntime runs it, to `target`; how many inputs they have in all."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    from compressor.onnx_graph import bits, functions, operators

    graph = operators.optimised(path).graph
    counts = bits.spatial_counts(path)
    held = {tensor.name: tensor for tensor in graph.initializer}
    makers = {name: node for node in graph.node for name in node.output}
    users: dict[str, list[Any]] = {}
    for node in graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)
    nodes: list[Any] = []
    feeds: dict[str, list[int]] = {}
    used: set[str] = set()
    seen: set[Any] = set()
    outputs: list[str] = []
    tried = 0

    def add(chain: list[Any], source: dict[str, str], shape: dict[str, list[int]], inputs: int) -> None:
        """The chain with its byte inputs replaced; once for equal constants."""
        nonlocal tried
        constants = tuple(numpy_helper.to_array(held[n]).tobytes() for one in chain for n in one.input if n in held)
        key = (tuple(one.op_type for one in chain), constants, tuple(sorted(source.values())))
        if key in seen:
            return
        seen.add(key)
        inner: dict[str, str] = dict(source)
        for one in chain:
            copy = onnx.NodeProto()
            copy.CopyFrom(one)
            copy.name = f"n{len(nodes)}"
            for place, name in enumerate(copy.input):
                copy.input[place] = inner.get(name, name)
            for place, name in enumerate(copy.output):
                inner[name] = copy.output[place] = f"v{len(nodes)}_{place}"
            nodes.append(copy)
            used.update(name for name in copy.input if name in held)
        outputs.append(nodes[-1].output[0])
        feeds.update(shape)
        tried += inputs

    for node in graph.node:
        kind = node.op_type
        if kind in ("QLinearAdd", "QLinearMul"):
            flat = {"a": [65536], "b": [65536]}
            first, second = node.input[0], node.input[3]
            add([node], {first: "a", second: "a" if first == second else "b"}, flat, 65536)
        elif kind in ("QLinearSigmoid", "QLinearLeakyRelu"):
            add([node], {node.input[0]: "t"}, {"t": [256]}, 256)
        elif kind == "QLinearConcat":
            copy = onnx.NodeProto()
            copy.CopyFrom(node)
            next(one for one in copy.attribute if one.name == "axis").i = 0
            add([copy], dict.fromkeys(node.input[2::3], "t"), {"t": [256]}, 256 * len(node.input[2::3]))
        else:
            source, sinks = makers.get(node.input[0]) if node.input else None, users.get(node.output[0], [])
            if source is None or source.op_type != "DequantizeLinear" or len(sinks) != 1:
                continue
            if sinks[0].op_type != "QuantizeLinear":
                continue
            chain = [source, node, sinks[0]]
            if functions.of(node):
                add(chain, {source.input[0]: "t"}, {"t": [256]}, 256)
            elif kind == "ReduceMean" and counts.get(node.name, MOST + 1) <= MOST:
                count = counts[node.name]
                mean = helper.make_node("ReduceMean", [node.input[0], "axes"], [node.output[0]], keepdims=1)
                held["axes"] = numpy_helper.from_array(np.array([2, 3], np.int64), "axes")
                rows = 255 * count + 1
                add([source, mean, sinks[0]], {source.input[0]: f"s{count}"}, {f"s{count}": [1, rows, count, 1]}, rows)
    for node in [one for one in graph.node if one.op_type == "QuantizeLinear" and one.input[1] in held]:
        scale, zero = (numpy_helper.to_array(held[name]) for name in node.input[1:3])
        if scale.size == 1 and zero.dtype == np.uint8:
            made = borders(float(scale), int(zero))
            name = f"borders{len(held)}"
            held[name] = numpy_helper.from_array(made, name)
            add([helper.make_node("QuantizeLinear", [name, *node.input[1:3]], ["y"])], {}, {}, made.size)
    scaled = [one for one in graph.node if one.op_type == "QLinearConv" and one.input[4] in held]
    for node in scaled[:: max(1, len(scaled) // CONVOLUTIONS)][:CONVOLUTIONS]:
        given, weights, out = (numpy_helper.to_array(held[node.input[place]]) for place in (1, 4, 6))
        zero = numpy_helper.to_array(held[node.input[7]])
        weight = np.float32(np.sort(weights.reshape(-1))[weights.size // 2])
        ratio = float(given) * float(weight) / float(out)
        count = min(CHANNELS, int(257 / ratio / 256) + 1)
        biases = np.arange(count, dtype=np.int32) * 256 - int((int(zero) + 1) / ratio)
        names = []
        for value in (given, np.uint8(0), np.ones((count, 1, 1, 1), np.int8), weight, np.int8(0), out, zero, biases):
            names.append(f"c{len(held)}")
            held[names[-1]] = numpy_helper.from_array(np.asarray(value), names[-1])
        add([helper.make_node("QLinearConv", ["p", *names], ["y"])], {}, {"p": [1, 1, 16, 16]}, 256 * count)
    ports = [helper.make_tensor_value_info(name, TensorProto.UINT8, shape) for name, shape in sorted(feeds.items())]
    ends = [helper.make_tensor_value_info(name, TensorProto.UINT8, None) for name in outputs]
    made = helper.make_graph(nodes, "nodes", ports, ends, [held[name] for name in sorted(used)])
    sets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    onnx.save(helper.make_model(made, opset_imports=sets, ir_version=10), target)
    return tried if nodes else 0


def borders(scale: float, zero: int) -> np.ndarray:
    """float32 numbers on and next to every border between two bytes."""
    middle = ((np.arange(256) - 0.5 - zero) * scale).astype(np.float32)
    around = [middle]
    for way in (np.float32(-np.inf), np.float32(np.inf)):
        near = middle
        for _ in range(2):
            near = np.nextafter(near, way)
            around.append(near)
    return np.concatenate(around)


def feed(name: str, shape: list[int]) -> np.ndarray:
    """Every pair (`a`, `b`), every byte (`t`, `p`), or bytes with every sum (`s64`: of 64)."""
    every = np.arange(256, dtype=np.uint8)
    if name in ("a", "b", "t", "p"):
        return {"a": np.repeat(every, 256), "b": np.tile(every, 256)}.get(name, every).reshape(shape)
    count = shape[2]
    sums = np.arange(255 * count + 1)
    whole, rest = np.divmod(sums, count)
    return (whole[:, None] + (np.arange(count) < rest[:, None])).astype(np.uint8).reshape(shape)


def main(folder: Path) -> None:
    import onnxruntime as ort

    (folder / "out").mkdir(exist_ok=True)
    for path in sorted(folder.glob("*.nodes.onnx")):
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        feeds = {one.name: feed(one.name, one.shape) for one in session.get_inputs()}
        found = session.run(None, feeds) if session.get_outputs() else []
        np.savez_compressed(folder / "out" / f"{path.name[:-11]}.npz", *found)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
