"""A float graph of every kind of convolution, and samples to calibrate it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.onnx_graph.networks import net, signature


@pytest.fixture(scope="session")
def samples() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(40, 3, 12, 12)).astype(np.float32)


@pytest.fixture(scope="session")
def feed(samples: np.ndarray) -> Callable[[int], list[np.ndarray]]:
    return lambda size: [samples[at : at + size] for at in range(0, len(samples), size)]


@pytest.fixture(scope="session")
def core(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from compressor.onnx_graph import exporter

    path = tmp_path_factory.mktemp("float") / "core.onnx"
    exporter.export_core(net(), signature(), path, 21)
    return path
