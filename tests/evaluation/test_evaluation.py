"""An evaluation's two files: what is written is read again, and damage is told."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from compressor.errors import IntegrityError
from compressor.evaluation.evaluation import Evaluation
from tests.evaluations import evaluation, written


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    outputs = np.array([[0.5, 1.5], [2.0, -1.0]], np.float32)
    made = evaluation([1, 0], arrays={"test_outputs": outputs, "test_targets": [1, 1], "unseen": [True, False]},
                      macs=7, parity={"cosine": 0.5}, warnings=("slow",), output={"name": "y", "shape": ["batch", 2]})  # fmt: skip
    made.write(tmp_path)
    read = Evaluation.read(tmp_path)
    assert read.model_dump() == made.model_dump()
    assert read.predictions.outputs("test").tolist() == outputs.tolist()
    assert read.predictions.targets("test").tolist() == [1, 1]
    assert read.predictions.indices.tolist() == [0, 1]
    assert {name: values.tolist() for name, values in read.predictions.scores.items()} == {"accuracy": [1.0, 0.0]}
    assert read.predictions.partly_seen
    assert (tmp_path / "evaluation.json").read_text().startswith('{\n "metric": "accuracy",\n "operators": {')


def test_fields_of_a_newer_version_are_no_damage(tmp_path: Path) -> None:
    path = written(tmp_path) / "evaluation.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "weather": "fine"}))
    assert Evaluation.read(tmp_path).precision == "float32"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"precision": "int4"}', "[" * 100_000])
def test_a_damaged_description_is_an_integrity_error(tmp_path: Path, text: str) -> None:
    (written(tmp_path) / "evaluation.json").write_text(text)
    with pytest.raises(IntegrityError, match=r"evaluation.json: (cannot be read|is no evaluation)"):
        Evaluation.read(tmp_path)


@pytest.mark.parametrize("content", [b"", b"PK", b"PK\x03\x04" + bytes(60)])
def test_damaged_arrays_are_an_integrity_error_when_they_are_asked_for(tmp_path: Path, content: bytes) -> None:
    (written(tmp_path) / "predictions.npz").write_bytes(content)
    read = Evaluation.read(tmp_path)
    with pytest.raises(IntegrityError, match=r"predictions.npz: cannot be read"):
        read.predictions.scores
