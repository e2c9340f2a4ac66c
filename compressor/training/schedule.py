"""How the learning rate moves: pure functions of the step, as shares of the peak rate."""

from __future__ import annotations

import math

ONECYCLE_RISE = 0.3
ONECYCLE_START = 1 / 25
ONECYCLE_END = 1 / 250_000
STEP_DROPS = (0.5, 0.75)
STEP_FACTOR = 0.1


def share(schedule: str, step: int, steps: int, warmup_steps: int = 0) -> float:
    """The share of the peak learning rate that step `step` (0 … steps - 1) of the optimizer uses.

    Warm-up rises linearly and reaches the peak at step `warmup_steps - 1`; the schedule runs over the steps after it.
    onecycle has a rise of its own and no other warm-up.
    """
    if schedule == "onecycle":
        return onecycle(step / max(1, steps - 1))
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    progress = (step - warmup_steps) / (steps - warmup_steps)
    if schedule == "cosine":
        return cosine(progress)
    if schedule == "step":
        return steps_down(progress)
    if schedule == "constant":
        return 1.0
    raise ValueError(f"no schedule {schedule!r}")


def cosine(progress: float) -> float:
    """Half a cosine: 1 at progress 0, 0 at progress 1 (Loshchilov and Hutter, 2017)."""
    return 0.5 * (1 + math.cos(math.pi * progress))


def onecycle(progress: float) -> float:
    """1/25 up to 1 over the first 30 %, then down to 1/250,000, both half a cosine (Smith and Topin, 2018)."""
    if progress < ONECYCLE_RISE:
        return 1 + (ONECYCLE_START - 1) * cosine(progress / ONECYCLE_RISE)
    return ONECYCLE_END + (1 - ONECYCLE_END) * cosine((progress - ONECYCLE_RISE) / (1 - ONECYCLE_RISE))


def steps_down(progress: float) -> float:
    """1, a tenth from half of the way, a hundredth from three quarters (He et al., 2015)."""
    return STEP_FACTOR ** sum(progress >= drop for drop in STEP_DROPS)
