"""Runs graphs in onnxruntime, always with the same settings."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnxruntime as ort

from compressor.device.predict import session_settings


def make_session(
    path: Path,
    threads: int,
    optimized_path: Path | None = None,
    *,
    optimize: bool = True,
    profile: Path | None = None,
) -> ort.InferenceSession:
    """A CPU session with full optimization and the same bits at every run with the same threads.

    optimized_path: where to write the graph as onnxruntime runs it. optimize: False runs every node as it stands.
    profile: how the name begins of the file that `end_profiling` writes, with the sizes of all that each node takes.
    """
    options = session_settings(threads)
    options.graph_optimization_level = (
        ort.GraphOptimizationLevel.ORT_ENABLE_ALL if optimize else ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    )
    if profile is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile)
        options.add_session_config_entry("session.disable_prepacking", "1")  # packed weights have no sizes there
    if optimized_path is not None:
        options.optimized_model_filepath = str(optimized_path)
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def predict(path: Path, batches: Iterable[np.ndarray], threads: int) -> np.ndarray:
    """The first output for every sample, [samples, …], of a graph with one input; batches are [batch, …].

    A graph made for a fixed batch size takes shorter batches too: they are padded with zeros and the padding's
    answers dropped. Longer ones are cut.
    """
    session = make_session(path, threads)
    outputs = [answer(session, batch) for batch in batches]
    if outputs:
        return np.concatenate(outputs)
    shape = [size if isinstance(size, int) else 0 for size in session.get_outputs()[0].shape[1:]]
    return np.zeros((0, *shape), np.float32)


def answer(session: ort.InferenceSession, batch: np.ndarray) -> np.ndarray:
    """The first output for a batch, padded or cut as in `predict`."""
    name, size = session.get_inputs()[0].name, fixed_batch(session)
    return np.concatenate([_run(session, name, part, size) for part in _cut(np.ascontiguousarray(batch), size)])


def fixed_batch(session: ort.InferenceSession) -> int | None:
    """The batch size that the file was made for, None where it takes any."""
    size = session.get_inputs()[0].shape[0]
    return size if isinstance(size, int) else None


def _cut(batch: np.ndarray, size: int | None) -> list[np.ndarray]:
    return [batch] if size is None else [batch[start : start + size] for start in range(0, len(batch), size)]


def _run(session: ort.InferenceSession, name: str, batch: np.ndarray, size: int | None) -> np.ndarray:
    count = len(batch)
    if size is not None and count < size:
        batch = np.concatenate([batch, np.zeros((size - count, *batch.shape[1:]), batch.dtype)])
    output: np.ndarray = np.atleast_1d(session.run(None, {name: batch})[0])
    return output[:count] if len(output) == len(batch) else output
