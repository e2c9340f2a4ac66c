"""Sessions: whole splits in batches, fixed batch sizes, and the same bits every time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from compressor.onnx_graph import session


@pytest.mark.parametrize("batch", ["batch", 4])
def test_every_sample_gets_its_output_whatever_the_batch(batch: str | int, tmp_path: Path) -> None:
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, 2]) for name in ("x", "y")]
    made = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "g", ports[:1], ports[1:])
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), tmp_path / "g.onnx")
    samples = np.arange(20, dtype=np.float32).reshape(10, 2)
    found = session.predict(tmp_path / "g.onnx", [samples[:3], samples[3:]], 1)
    assert np.array_equal(found, -samples)
    assert session.predict(tmp_path / "g.onnx", [], 1).shape == (0, 2)
