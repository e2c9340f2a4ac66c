"""What a training step makes small."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from compressor.problem.task import Batch

Objective = Callable[[nn.Module, Batch], Tensor]
"""(model, batch) -> loss, a scalar tensor. Runs inside autocast; the model's outputs come in float32."""
