"""The chain of parity from torch to the file that ships, and the limits that hold for it.

torch ──torch_to_float──► float core ──float_to_int8──► int8 core ──core_to_shipped──► model.onnx
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from compressor.device.answers import probabilities
from compressor.errors import CompressError, StepError
from compressor.onnx_graph import clean, parity, session

Answer = Callable[[np.ndarray], np.ndarray]
Link = Mapping[str, Any]
AT_MOST = frozenset({"max_abs", "max_rel"})
ROUNDING: Mapping[str, float] = {"max_rel": 1e-3, "same_answers": 0.999}
"""What float arithmetic may do where pixels, probabilities or a fixed batch were added around a core graph."""
WORDS = {
    "max_abs": "largest difference",
    "max_rel": "largest difference, as a share of the largest output,",
    "cosine": "cosine",
    "sqnr_db": "signal to noise ratio in dB",
    "same_answers": "share of equal answers",
}


def core_to_shipped(
    core: tuple[Path, Iterable[np.ndarray]],
    shipped: tuple[Path, Iterable[np.ndarray]],
    answer: Answer,
    *,
    softmax: bool,
    exact: bool,
    activation: str | None = None,
) -> dict[str, Any]:
    """Both files run here over the same samples; each comes with its batches, pixels for a file that takes them.

    softmax: the shipped file gives probabilities, and the core what comes out of `activation` (None: raw scores).
    exact: nothing was added, so every bit must be equal.
    Returns the numbers of `parity.compare` and `exact`.

    Raises:
        StepError: a difference where nothing was added to the graph, or more than rounding where something was.
    """
    expected = session.predict(*core, 1)
    try:
        found = session.predict(*shipped, 1)
    except CompressError:
        raise
    except Exception as error:  # onnxruntime has a dozen exception types without a common one
        what = f"the onnxruntime here cannot run the shipped file ({clean.first_line(error)})"
        raise StepError("", what, "lower ir_version or onnx.opset, or update onnxruntime") from error
    wanted = probabilities(expected, (activation,)) if softmax else expected
    numbers = parity.compare(wanted, found, answer)
    if exact and numbers["max_abs"] != 0:
        what = f"the shipped file's outputs differ by {numbers['max_abs']:.3g} from its core graph's"
        raise StepError("", what, "report this: nothing was added to the graph")
    if not exact:
        check({"core_to_shipped": numbers}, ROUNDING)
    return {**numbers, "exact": exact}


def check(chain: Mapping[str, Link | None], limits: Mapping[str, float]) -> None:
    """Hold the chain to limits by name: `float_to_int8` where there is such a link, else every float link.

    Raises:
        StepError: names the link, the value and the limit that it misses.
    """
    quantized = chain.get("float_to_int8")
    links = {"float_to_int8": quantized} if quantized else chain
    for name, link in links.items():
        for measure, limit in limits.items():
            value = (link or {}).get(measure)
            if value is None or (value <= limit if measure in AT_MOST else value >= limit):
                continue
            side = "at most" if measure in AT_MOST else "at least"
            where = f"parity missed ({name.replace('_', ' ')}, {(link or {}).get('n', 0):,} validation samples)"
            what = f"{where}: the {WORDS[measure]} is {value:.4g}, {side} {limit:.4g} is asked for"
            raise StepError("", what, f"train or calibrate again, or change parity.{measure}")
