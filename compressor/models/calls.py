"""What a network calls while it answers: torch's functions in their order, with the module and the line of each."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

_NOT_THEIRS = (str(Path(torch.__file__).parent), str(Path(__file__).resolve().parents[1]))
_SILENT = frozenset({"__get__", "size", "dim", "numel", "requires_grad_", "detach", "__len__"})


@dataclass(frozen=True)
class Call:
    """One call of a function of torch. module: its name in the network and its kind. line: of the code that called."""

    function: str
    module: str
    kind: str
    line: str
    random: bool
    inputs: tuple[Any, ...]
    options: dict[str, Any]
    outputs: tuple[Tensor, ...]

    def words(self) -> str:
        """`squeeze` in `body.1` (BatchNorm2d) at nets.py, line 4."""
        inside = f" in `{self.module}` ({self.kind})" if self.module else ""
        return f"`{self.function}`{inside}{self.line}"


class _Watch(TorchFunctionMode):
    def __init__(self, see: Callable[[Call], object], stack: list[tuple[str, str]]) -> None:
        super().__init__()
        self._see, self._stack = see, stack

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", str(func))
        if name in _SILENT:
            return func(*args, **(kwargs or {}))
        before = _dice()
        made = func(*args, **(kwargs or {}))
        module, kind = self._stack[-1] if self._stack else ("", "")
        parts = made if isinstance(made, tuple | list) else (made,)
        outputs = tuple(part for part in parts if isinstance(part, Tensor))
        self._see(Call(name, module, kind, _line(), _dice() != before, tuple(args), kwargs or {}, outputs))
        return made


def watched(model: nn.Module, inputs: Tensor, see: Callable[[Call], object]) -> Any:
    """The model's answer in eval mode, without gradients; `see` is told of every call. Raises what the model raises."""
    stack: list[tuple[str, str]] = []
    handles = [handle for name, module in model.named_modules() for handle in _following(name, module, stack)]
    try:
        with torch.no_grad(), _Watch(see, stack):
            return model.eval()(inputs)
    finally:
        for handle in handles:
            handle.remove()


def listed(model: nn.Module, inputs: Tensor) -> list[Call]:
    """All calls up to the answer, or up to the failure."""
    found: list[Call] = []
    try:
        watched(model, inputs, found.append)
    except Exception:  # whatever the network raises, the calls before it were seen
        return found
    return found


def _following(name: str, module: nn.Module, stack: list[tuple[str, str]]) -> list[Any]:
    def enter(*_: Any) -> None:
        stack.append((name, type(module).__name__))

    def leave(*_: Any) -> None:
        stack.pop()

    return [module.register_forward_pre_hook(enter), module.register_forward_hook(leave, always_call=True)]


def _dice() -> tuple[Any, ...]:
    """The states of the generators that a network might draw from."""
    legacy: Any = np.random.get_state()
    return bytes(torch.get_rng_state().numpy().data), legacy[2], legacy[1].tobytes(), random.getstate()


def _line() -> str:
    """` at nets.py, line 24`: where the code that is neither torch's nor ours stands, where there is some."""
    frame: Any = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith(_NOT_THEIRS) and not file.startswith("<") and "contextlib" not in file:
            return f" at {Path(file).name}, line {frame.f_lineno}" if frame.f_code.co_name != "<module>" else ""
        if Path(file).parent == Path(_NOT_THEIRS[1]) / "models" and frame.f_code.co_name == "watched":
            return ""
        frame = frame.f_back
    return ""
