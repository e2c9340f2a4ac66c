"""The files that the truth of latency is tried on: int8 networks, twins of one graph, and copies with known extra work.

Everything is made here, from random weights: nothing is read. Extra work is of the kind that the network does anyway:
its last product gets more columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from compressor.models import catalogue
from compressor.onnx_graph import exporter
from compressor.problem.signature import Signature, TensorSpec
from compressor.quantization import ptq

CLASSES = 10
_SAMPLES = 16


@dataclass(frozen=True)
class Net:
    """A network of the catalogue and the picture it takes, [channels, height, width].

    name: its time. columns: of the last product, so that the whole takes about so many per cent longer.
    """

    name: str
    model: str
    widths: tuple[int, ...] | None
    shape: tuple[int, int, int]
    columns: Mapping[int, int]

    def reference(self) -> dict[str, object]:
        """As a pipeline file names it."""
        return {"name": self.model} if self.widths is None else {"name": self.model, "widths": list(self.widths)}


NETS = (
    Net("0.03 ms", "mlperf_resnet8", (8, 16, 32), (1, 8, 8), {2: 180, 5: 450}),
    Net("0.3 ms", "resnet20", None, (3, 32, 32), {2: 1_800, 5: 4_400}),
    Net("3 ms", "resnet20", None, (3, 96, 96), {2: 10_500, 5: 24_000}),
)
SLOWER = (2, 5)


def write_all(net: Net, folder: Path) -> dict[str, Path]:
    """The files of one experiment by their role: `one`, its `twin`, and `slower_2` and `slower_5`."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {role: folder / f"{role}.onnx" for role in ("one", "twin", *(f"slower_{percent}" for percent in SLOWER))}
    write(net, files["one"], note="one")
    noted(files["one"], files["twin"], "two")  # as long as the other, so that both files have one size
    for percent in SLOWER:
        write(net, files[f"slower_{percent}"], classes=net.columns[percent])
    return files


def write(net: Net, path: Path, *, classes: int = CLASSES, note: str = "") -> Path:
    """The int8 file of a network with so many classes. note: the doc string, which no kernel sees."""
    inputs = TensorSpec("input", "float32", net.shape)
    signature = Signature((inputs,), (TensorSpec("logits", "float32", (classes,)),))
    model = catalogue.build(net.reference(), outputs=classes, input_shape=net.shape, seed=0).eval()
    core = path.with_suffix(".float.onnx")
    exporter.export_core(model, signature, core, opset=21)
    ptq.quantize(core, path, lambda size: _samples(net, size))
    core.unlink()
    return noted(path, path, note)


def noted(source: Path, path: Path, note: str) -> Path:
    """A copy of the same graph with another doc string."""
    graph = onnx.load(source)
    graph.doc_string = note
    onnx.save(graph, path)
    return path


def _samples(net: Net, size: int) -> Iterator[np.ndarray]:
    random = np.random.default_rng(0)
    for _ in range(0, _SAMPLES, size):
        yield random.standard_normal((min(size, _SAMPLES), *net.shape)).astype(np.float32)
