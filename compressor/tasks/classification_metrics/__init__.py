"""The metrics of a classification: each file here is one, as `METRIC`. Accuracy decides; nothing else names them."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from compressor import discovery
from compressor.problem.metric import Metric

DECIDES = "accuracy"


def _found() -> dict[str, Metric]:
    made = {metric.name: metric for metric in discovery.each(sys.modules[__name__], "METRIC")}
    return {DECIDES: made[DECIDES], **made}


METRICS: Mapping[str, Metric] = _found()
"""By name, the one that decides first."""
