"""Tensors as files hold them: which can stand in for a network's weights, and in what form."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from compressor.errors import InputError


def dense(where: str, state: Mapping[str, Any]) -> Mapping[str, Any]:
    """The state with sparse tensors written out.

    Raises:
        InputError: a tensor that has a shape and no numbers.
    """
    held = OrderedDict(state)
    for name, value in state.items():
        if isinstance(value, Tensor) and value.is_meta:
            what = "it has a shape and no numbers, as tensors on torch's `meta` device"
            raise InputError(f"{where}: {name}", what, "save the network's state_dict() from where its weights are")
        if isinstance(value, Tensor) and value.layout != torch.strided:
            held[name] = value.to_dense()
    if (metadata := getattr(state, "_metadata", None)) is not None:
        held._metadata = metadata  # type: ignore[attr-defined]
    return held


def check_numbers(where: str, value: Tensor, *, infinite: bool) -> None:
    """Refuse what cannot stand in for float weights. infinite: a buffer may hold infinity, as masks do.

    Raises:
        InputError: whole numbers, NaN, or infinity.
    """
    if not value.is_floating_point():
        what = f"it holds {str(value.dtype).removeprefix('torch.')}, and the network computes with float weights"
        raise InputError(where, what, "give the float weights, from before they were quantized or converted")
    wrong = int((value.isnan() if infinite else ~value.isfinite()).sum())
    if wrong:
        what = f"{wrong:,} of its {value.numel():,} values are not finite numbers"
        raise InputError(where, what, "give weights from before the training went wrong, or train them again")
