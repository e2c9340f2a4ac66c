"""What an evaluation left, as the steps after it read it: its facts, its predictions, what its answers come out of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from compressor.store.artifact import Artifact

if TYPE_CHECKING:
    import numpy as np

    from compressor.models.answer_kinds import Kind

FACTS, PREDICTIONS = "evaluation.json", "predictions.npz"


def facts(evaluated: Artifact) -> dict[str, Any]:
    """Everything in evaluation.json."""
    found: dict[str, Any] = json.loads(evaluated.file(FACTS).read_text(encoding="utf-8"))
    return found


def predictions(evaluated: Artifact, *names: str) -> dict[str, np.ndarray]:
    """The named arrays of predictions.npz, all where none is named.

    Of each split `{split}_outputs` float32 [samples, *shape] and `{split}_targets` int64 [samples]; `test_indices`,
    `unseen` bool [test samples], and `score_{metric}` float64 [test samples].
    """
    import numpy as np

    with np.load(evaluated.file(PREDICTIONS), allow_pickle=False) as stored:
        return {name: stored[name] for name in names or stored.files}


def final_activation(evaluated: Artifact) -> Kind | None:
    """What the answers of an evaluated graph come out of; None for raw scores."""
    found: Kind | None = facts(evaluated)["final_activation"]
    return found


def quality(scores: Mapping[str, np.ndarray], unseen: np.ndarray | None) -> dict[str, Any]:
    """`quality` over all test samples, and `quality_unseen` over those on which nothing was chosen, null unless these
    are some of them: metric -> {value, low, high, n}.

    scores: metric -> float64 [samples]. unseen: bool [samples].
    """
    partly = unseen is not None and unseen.any() and not unseen.all()
    return {
        "quality": _intervals(scores),
        "quality_unseen": _intervals({name: values[unseen] for name, values in scores.items()}) if partly else None,
    }


def _intervals(scores: Mapping[str, np.ndarray]) -> dict[str, dict[str, float | int | None]]:
    """Wilson's interval for shares, else a bootstrap."""
    from compressor import statistics
    from compressor.report.judgement.evidence import is_share

    found: dict[str, dict[str, float | int | None]] = {}
    for name, values in scores.items():
        n = len(values)
        interval = statistics.wilson(int(values.sum()), n) if is_share(values) else statistics.bootstrap_mean(values)
        found[name] = {"value": float(interval.value), "low": interval.low, "high": interval.high, "n": n}
    return found
