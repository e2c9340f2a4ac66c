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
    from compressor.onnx_graph import bits, operators

    graph = operators.optimised(path).graph
    chosen = Chosen(graph)
    take_bytes(chosen, graph, bits.spatial_counts(path))
    take_borders(chosen, graph)
    take_scalings(chosen, graph)
    chosen.save(target)
    return chosen.tried if chosen.nodes else 0


class Chosen:
    """Chains of nodes with their byte inputs replaced, and the constants that they take. tried: inputs in all."""

    def __init__(self, graph: Any) -> None:
        self.held = {tensor.name: tensor for tensor in graph.initializer}
        self.nodes: list[Any] = []
        self.tried = 0
        self._feeds: dict[str, list[int]] = {}
        self._used: set[str] = set()
        self._seen: set[Any] = set()
        self._outputs: list[str] = []

    def constant(self, name: str) -> np.ndarray:
        from onnx import numpy_helper

        return np.asarray(numpy_helper.to_array(self.held[name]))

    def hold(self, name: str, values: np.ndarray) -> str:
        """Keep a constant by this name."""
        from onnx import numpy_helper

        self.held[name] = numpy_helper.from_array(values, name)
        return name

    def add(self, chain: list[Any], source: dict[str, str], shape: dict[str, list[int]], inputs: int) -> None:
        """The chain with the tensors of `source` replaced by feeds of these shapes; once for equal constants."""
        constants = tuple(self.constant(n).tobytes() for one in chain for n in one.input if n in self.held)
        key = (tuple(one.op_type for one in chain), constants, tuple(sorted(source.values())))
        if key in self._seen:
            return
        self._seen.add(key)
        inner = dict(source)
        for one in chain:
            node = _copy(one)
            node.name = f"n{len(self.nodes)}"
            for place, name in enumerate(node.input):
                node.input[place] = inner.get(name, name)
            for place, name in enumerate(node.output):
                inner[name] = node.output[place] = f"v{len(self.nodes)}_{place}"
            self.nodes.append(node)
            self._used.update(name for name in node.input if name in self.held)
        self._outputs.append(self.nodes[-1].output[0])
        self._feeds.update(shape)
        self.tried += inputs

    def save(self, target: Path) -> None:
        """One file with all chains side by side."""
        import onnx
        from onnx import TensorProto, helper

        feeds = sorted(self._feeds.items())
        ports = [helper.make_tensor_value_info(name, TensorProto.UINT8, shape) for name, shape in feeds]
        ends = [helper.make_tensor_value_info(name, TensorProto.UINT8, None) for name in self._outputs]
        held = [self.held[name] for name in sorted(self._used)]
        made = helper.make_graph(self.nodes, "nodes", ports, ends, held)
        sets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
        onnx.save(helper.make_model(made, opset_imports=sets, ir_version=10), target)


def take_bytes(chosen: Chosen, graph: Any, counts: dict[str, int]) -> None:
    """What takes and gives bytes, alone or with the DequantizeLinear and QuantizeLinear around it."""
    from onnx import helper

    from compressor.onnx_graph import functions, links

    makers, users = links.makers(graph), links.users(graph)
    for node in graph.node:
        kind = node.op_type
        if kind in ("QLinearAdd", "QLinearMul"):
            first, second = node.input[0], node.input[3]
            pairs = {"a": [65536], "b": [65536]}
            chosen.add([node], {first: "a", second: "a" if first == second else "b"}, pairs, 65536)
        elif kind in ("QLinearSigmoid", "QLinearLeakyRelu"):
            chosen.add([node], {node.input[0]: "t"}, {"t": [256]}, 256)
        elif kind == "QLinearConcat":
            flat = _copy(node)
            next(one for one in flat.attribute if one.name == "axis").i = 0
            given = node.input[2::3]
            chosen.add([flat], dict.fromkeys(given, "t"), {"t": [256]}, 256 * len(given))
        else:
            source, sinks = makers.get(node.input[0]) if node.input else None, users.get(node.output[0], [])
            if source is None or source.op_type != "DequantizeLinear" or len(sinks) != 1:
                continue
            if sinks[0].op_type != "QuantizeLinear":
                continue
            if functions.of(node):
                chosen.add([source, node, sinks[0]], {source.input[0]: "t"}, {"t": [256]}, 256)
            elif kind == "ReduceMean" and counts.get(node.name, MOST + 1) <= MOST:
                count = counts[node.name]
                axes = chosen.hold("axes", np.array([2, 3], np.int64))
                mean = helper.make_node("ReduceMean", [node.input[0], axes], [node.output[0]], keepdims=1)
                rows, feed_name = 255 * count + 1, f"s{count}"
                chain = [source, mean, sinks[0]]
                chosen.add(chain, {source.input[0]: feed_name}, {feed_name: [1, rows, count, 1]}, rows)


def take_borders(chosen: Chosen, graph: Any) -> None:
    """Every QuantizeLinear, on the borders between its bytes."""
    from onnx import helper

    for node in [one for one in graph.node if one.op_type == "QuantizeLinear" and one.input[1] in chosen.held]:
        scale, zero = (chosen.constant(name) for name in node.input[1:3])
        if scale.size == 1 and zero.dtype == np.uint8:
            made = borders(float(scale), int(zero))
            name = chosen.hold(f"borders{len(chosen.held)}", made)
            chosen.add([helper.make_node("QuantizeLinear", [name, *node.input[1:3]], ["y"])], {}, {}, made.size)


def take_scalings(chosen: Chosen, graph: Any) -> None:
    """The scaling of integer sums that ends a convolution, of some of them."""
    from onnx import helper

    scaled = [one for one in graph.node if one.op_type == "QLinearConv" and one.input[4] in chosen.held]
    for node in scaled[:: max(1, len(scaled) // CONVOLUTIONS)][:CONVOLUTIONS]:
        given, weights, out, zero = (chosen.constant(node.input[place]) for place in (1, 4, 6, 7))
        weight = np.float32(np.sort(weights.reshape(-1))[weights.size // 2])
        ratio = float(given) * float(weight) / float(out)
        count = min(CHANNELS, int(257 / ratio / 256) + 1)
        biases = np.arange(count, dtype=np.int32) * 256 - int((int(zero) + 1) / ratio)
        ones = np.ones((count, 1, 1, 1), np.int8)
        names = [
            chosen.hold(f"c{len(chosen.held)}", np.asarray(value))
            for value in (given, np.uint8(0), ones, weight, np.int8(0), out, zero, biases)
        ]
        chosen.add([helper.make_node("QLinearConv", ["p", *names], ["y"])], {}, {"p": [1, 1, 16, 16]}, 256 * count)


def _copy(node: Any) -> Any:
    copied = type(node)()
    copied.CopyFrom(node)
    return copied


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
