"""How far one set of outputs is from another, in numbers and in answers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from compressor.errors import StepError

# Torch and onnxruntime add the same products in different orders: float32 rounding over a hundred layers stays
# below a ten-thousandth of the outputs' range; ten times that is a wrong graph, not rounding.
FLOAT_LIMIT = 1e-3
SQNR_CEILING = 200.0


def numbers(reference: np.ndarray, other: np.ndarray) -> dict[str, float]:
    """`{"max_abs", "max_rel", "cosine", "sqnr_db"}` of two arrays of one shape; all finite.

    max_abs: the largest difference, in the outputs' unit. max_rel: that, as a share of the reference's largest absolute
    value. cosine: of the two as vectors. sqnr_db: power of the reference over power of the difference, in decibels,
    at most 200, which equal outputs get.

    >>> numbers(np.array([3.0, 4.0]), np.array([3.0, 4.5]))["max_rel"]
    0.125
    """
    if reference.shape != other.shape:
        raise ValueError(f"outputs of shapes {reference.shape} and {other.shape} cannot be compared")
    a, b = reference.astype(np.float64).ravel(), other.astype(np.float64).ravel()
    error = b - a
    largest = float(np.abs(error).max(initial=0.0))
    scale = float(np.abs(a).max(initial=0.0))
    signal, noise = float(a @ a), float(error @ error)
    return {
        "max_abs": largest,
        "max_rel": largest / scale if scale else float(largest > 0),
        "cosine": _cosine(a, b, signal),
        "sqnr_db": _decibels(signal, noise),
    }


def _cosine(a: np.ndarray, b: np.ndarray, signal: float) -> float:
    power = float(b @ b)
    if not signal or not power:
        return 1.0 if signal == power else 0.0
    return min(1.0, max(-1.0, float(a @ b) / float(np.sqrt(signal) * np.sqrt(power))))


def _decibels(signal: float, noise: float) -> float:
    if noise == 0:
        return SQNR_CEILING
    if signal == 0:
        return -SQNR_CEILING
    return min(SQNR_CEILING, max(-SQNR_CEILING, 10 * float(np.log10(signal / noise))))


def compare(
    reference: np.ndarray, other: np.ndarray, answer: Callable[[np.ndarray], np.ndarray]
) -> dict[str, float | int]:
    """The numbers, with `same_answers` (the share of samples whose answers are equal) and `n` samples.

    Outputs that are not finite, or one of which went through a softmax, should be compared by answers: see `agreement`.
    """
    return {**numbers(reference, other), **agreement(reference, other, answer)}


def agreement(
    reference: np.ndarray, other: np.ndarray, answer: Callable[[np.ndarray], np.ndarray]
) -> dict[str, float | int]:
    """`{"same_answers": share, "n": samples}`; `answer` maps outputs [samples, …] to answers [samples]."""
    same = answer(reference) == answer(other)
    return {"same_answers": float(np.mean(same)) if len(same) else 1.0, "n": len(same)}


def check_float(reference: np.ndarray, other: np.ndarray, where: str) -> dict[str, float]:
    """The numbers of torch's outputs (reference) and the float graph's, on the same samples.

    Errors: StepError when they differ by more than a thousandth of the outputs' range, or are not finite.
    """
    if not (np.isfinite(reference).all() and np.isfinite(other).all()):
        todo = "train it with a lower learning rate, or begin with weights that are finite numbers"
        raise StepError(where, "the network's outputs are not finite numbers", todo)
    found = numbers(reference, other)
    if found["max_rel"] > FLOAT_LIMIT:
        raise StepError(
            where,
            f"onnxruntime's outputs of the float graph are up to {found['max_rel']:.2g} of their range from torch's, "
            f"more than {FLOAT_LIMIT:g}",
            "look for a layer that computes otherwise in ONNX, such as resizing or padding",
        )
    return found
