"""An onnxruntime session as latency is measured with, and data that it accepts."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime

from compressor.device.memory import room_for_threads

_TYPES: dict[str, Any] = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
    "tensor(uint8)": np.uint8,
    "tensor(int8)": np.int8,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
}


def open_session(path: str, threads: int) -> onnxruntime.InferenceSession:
    """A session on the CPU. Its threads stop spinning between runs: else the sessions of one process disturb each
    other, and two threads become several times slower than one.
    """
    room_for_threads(threads)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.force_spinning_stop", "1")
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def fixed_batch(session: onnxruntime.InferenceSession) -> int | None:
    """The batch size that the file was made for, None where it takes any."""
    size = session.get_inputs()[0].shape[0]
    return size if isinstance(size, int) else None


def make_feed(session: onnxruntime.InferenceSession, batch: int, seed: int) -> dict[str, np.ndarray]:
    """Random but valid inputs of each name and dtype: standard normal floats, pixels or small whole numbers.

    Raises ValueError for a dtype that is not known, or a dynamic dimension other than the batch.
    """
    random = np.random.default_rng(seed)
    feed = {}
    for node in session.get_inputs():
        if node.type not in _TYPES:
            raise ValueError(f"input {node.name!r} has the type {node.type}, which cannot be timed")
        unknown = [size for size in node.shape[1:] if not isinstance(size, int)]
        if unknown:
            raise ValueError(f"input {node.name!r} has the shape {node.shape} with dynamic sizes beside the batch")
        shape, dtype = (batch, *node.shape[1:]), np.dtype(_TYPES[node.type])
        if dtype.kind == "f":
            feed[node.name] = random.standard_normal(shape).astype(dtype)
        else:
            feed[node.name] = random.integers(0, 256 if dtype == np.uint8 else 2, shape).astype(dtype)
    return feed
