"""A bundle's network in onnxruntime, and its answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from .answers import probabilities
from .manifest import MODEL
from .memory import first_line, half_loaded, room_for_threads, short_of_memory
from .preprocess import geometric, numeric
from .refused import ALTERED, Refused, Unfit, altered


class Model:
    """A bundle's network in onnxruntime, with the preprocessing and the answers that travel with it."""

    def __init__(self, folder: Path, facts: Mapping[str, Any], threads: int = 1) -> None:
        self.facts = facts
        self.source = facts["inputs"][0]
        self.in_graph = frozenset(facts.get("in_graph", ()))
        self.session = open_session(folder / MODEL, threads, facts)
        first = self.source["shape"][0]
        self.fixed_batch = first if isinstance(first, int) else None

    def prepare(self, image: Image.Image) -> np.ndarray:
        """One picture as the network's input takes it, without the batch: uint8 pixels or float32 numbers.

        Unfit where the picture does not fit the preprocessing or the network.
        """
        pixels = geometric(image, self.facts["preprocess"])
        sample: np.ndarray
        if self.source["dtype"] != "uint8":
            sample = numeric(pixels[None], self.facts["preprocess"])[0]
        else:
            sample = pixels if self.source["layout"] == "NHWC" else np.ascontiguousarray(pixels.transpose(2, 0, 1))
        wanted = tuple(self.source["shape"][1:])
        if sample.shape != wanted:
            raise Unfit(f"becomes {list(sample.shape)}, but the network takes {list(wanted)}")
        return sample

    def outputs(self, inputs: np.ndarray) -> np.ndarray:
        """float32 [n, …] for inputs [n, …] as `prepare` makes them. A fixed batch is filled with zeros."""
        size = self.fixed_batch or 32
        parts = []
        for start in range(0, len(inputs), size):
            part = inputs[start : start + size]
            count = len(part)
            if self.fixed_batch and count < size:
                part = np.concatenate([part, np.zeros((size - count, *part.shape[1:]), part.dtype)])
            parts.append(self.run(part)[:count])
        return np.concatenate(parts)

    def run(self, feed: np.ndarray) -> np.ndarray:
        """The first output for one batch; Refused (4) where onnxruntime cannot run the graph."""
        try:
            return np.asarray(self.session.run(None, {self.source["name"]: feed})[0])
        except Exception as error:  # onnxruntime has a dozen exception types without a common one
            if short_of_memory(error):
                raise
            raise altered(MODEL, f"onnxruntime cannot run it ({str(error).strip()[:200]!r})") from None

    def probabilities(self, outputs: np.ndarray) -> np.ndarray:
        """float64 [n, classes], from outputs [n, classes]; they sum to one unless the graph ends in a sigmoid."""
        return probabilities(outputs, self.in_graph)

    def answers(self, images: Sequence[Image.Image]) -> list[dict[str, Any]]:
        """For each picture `{"answer": class, "index": its number, "probability": of 0 to 1}`."""
        shares = self.probabilities(self.outputs(np.stack([self.prepare(image) for image in images])))
        best = shares.argmax(axis=1)
        return [
            {"answer": self.facts["answers"][index], "index": int(index), "probability": float(share[index])}
            for index, share in zip(best, shares)  # noqa: B905  # strict= came with Python 3.10
        ]


def open_session(path: Path, threads: int, facts: Mapping[str, Any]) -> Any:
    """The model in onnxruntime on this CPU; Refused where onnxruntime is missing or cannot read it."""
    try:
        import onnxruntime
    except ImportError as error:
        if half_loaded(error):
            raise MemoryError(first_line(error)) from error
        raise Refused(2, "onnxruntime", "is not installed", "run `pip install onnxruntime`") from None
    settings = session_settings(threads)
    try:
        return onnxruntime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has a dozen exception types without a common one
        if short_of_memory(error):
            raise
        reason = str(error).strip().splitlines()[0][:200]
        known = facts.get("onnxruntime", {})
        problem = f"onnxruntime {onnxruntime.__version__} cannot read it ({reason})"
        todo = f"use onnxruntime {known.get('oldest') or known.get('made_with')} or newer"
        raise Refused(ALTERED, str(path), problem, todo) from None


def session_settings(threads: int) -> Any:
    """onnxruntime's, for the same bits at every run with the same threads.

    Raises:
        MemoryError: the addresses do not suffice for the threads.
    """
    import onnxruntime

    room_for_threads(threads)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.inter_op_num_threads = 1
    settings.use_deterministic_compute = True
    settings.log_severity_level = 4
    # Idle threads that spin would take the cores from other sessions and from training.
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return settings
