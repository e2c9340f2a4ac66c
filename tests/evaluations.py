"""Evaluations of models that were never run, written as the evaluate stage writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from compressor.evaluation.evaluation import Evaluation, Predictions


def evaluation(right: Any = (1.0, 0.0), *, arrays: dict[str, Any] | None = None, **facts: Any) -> Evaluation:
    """An evaluation with what each test sample got, `right`, as its accuracy; all else where it is not given is plain."""
    scores = np.asarray(right, np.float64)
    held = {
        "test_indices": np.arange(len(scores)),
        "unseen": np.ones(len(scores), bool),
        "score_accuracy": scores,
        **{name: np.asarray(values) for name, values in (arrays or {}).items()},
    }
    plain = {
        "metric": "accuracy", "operators": {"Conv": 1}, "float_convolutions": 1, "float_matmuls": 0,
        "precision": "float32", "size_bytes": 1234, "model_sha256": "0" * 64, "input": {}, "output": {},
    }  # fmt: skip
    return Evaluation.model_validate({**plain, **facts, "predictions": Predictions(held)})


def written(folder: Path, right: Any = (1.0, 0.0), **facts: Any) -> Path:
    """Such an evaluation in a folder of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    evaluation(right, **facts).write(folder)
    return folder
