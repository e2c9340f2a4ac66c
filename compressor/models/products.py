"""Counts the multiply-accumulates of torch's operators as they run, by torch's own formulas where it has them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import prod
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

_TRUSTED = ("aten", "prim", "prims", "torchvision", "profiler")
"""Whose operators do not multiply unless they are known to; nobody knows of others."""
_WITHOUT_FORMULA = (
    "linalg_", "_linalg_", "fft_", "_fft_", "_cdist", "_euclidean_dist", "_trilinear", "_int_mm", "_weight_int",
    "_native_multi_head", "_transformer_encoder", "_flex_attention", "_grouped_mm", "_sparse_mm", "_dyn_quant",
    "_wrapped", "miopen_", "mkldnn_", "_cslt_", "matrix_exp", "cholesky",
)  # fmt: skip
"""How operators that multiply begin that neither torch nor this module counts."""
_SUMS = ("linalg_vector_norm", "linalg_cross")
"""Those that begin so and multiply no matrices."""


class Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts while it is entered. macs: multiply-accumulates. uncounted: operators that may multiply besides.

    held: weights and buffers; what follows from them alone counts nothing.
    """

    supports_higher_order_operators = True

    def __init__(self, held: Iterable[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.macs = 0
        self.uncounted: set[str] = set()
        self._held = {_place(one): one.untyped_storage() for one in held}
        self._held.pop(0, None)  # tensors without elements share no memory

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        packet = getattr(func, "_overloadpacket", None)
        if packet is None:  # an operator that takes functions
            self.uncounted.add(str(func))
            return func(*args, **kwargs)
        if str(packet) not in _FORMULAS and packet not in flop_registry:
            with self:
                made = func.decompose(*args, **kwargs)
            if made is not NotImplemented:
                return made
        made = func(*args, **kwargs)
        if not self._follows_from_weights([args, kwargs], made):
            self._add(packet, made, args, kwargs)
        return made

    def _follows_from_weights(self, given: Any, made: Any) -> bool:
        places = [_place(one) for one in tree_leaves(given) if isinstance(one, Tensor)]
        outputs = [one for one in tree_leaves(made) if isinstance(one, Tensor)]
        held = bool(places) and all(place in self._held for place in places)
        for one in outputs:
            if held and _place(one):
                self._held[_place(one)] = one.untyped_storage()
            elif not held:
                self._held.pop(_place(one), None)
        return held

    def _add(self, packet: Any, made: Any, args: Any, kwargs: Any) -> None:
        operator = str(packet)
        if operator in _FORMULAS:
            self.macs += _FORMULAS[operator](made, *args, **kwargs)
        elif packet in flop_registry:
            self.macs += flop_registry[packet](*args, **kwargs, out_val=made) // 2
        else:
            space, name = operator.split(".", 1)
            multiplies = name.startswith(_WITHOUT_FORMULA) and name not in _SUMS
            if space not in _TRUSTED or multiplies:
                self.uncounted.add(operator)


def _place(tensor: Tensor) -> int:
    """Where its memory is, 0 where it has none of its own."""
    try:
        return tensor.untyped_storage().data_ptr()
    except (NotImplementedError, RuntimeError):  # sparse tensors and the like
        return 0


def _recurrent(made: Any, given: Tensor, *others: Any, **more: Any) -> int:
    """[length, batch, in] or, packed, [rows, in] meets each matrix of weights once for each step and sample."""
    matrices = [one for one in tree_leaves(others[:3]) if isinstance(one, Tensor) and one.dim() == 2]
    return prod(given.shape[:-1]) * sum(one.numel() for one in matrices)


def _deformable(made: Tensor, given: Tensor, weight: Tensor, *others: Any, **more: Any) -> int:
    return made.numel() * prod(weight.shape[1:])


def _by_vector(made: Any, *args: Any, **kwargs: Any) -> int:
    """A matrix or a vector times a vector: the larger of the last two operands is met once."""
    return max(one.numel() for one in args[-2:] if isinstance(one, Tensor))


def _by_batches(made: Any, added: Any, left: Tensor, right: Tensor, **more: Any) -> int:
    return left.numel() * right.shape[-1]


_FORMULAS: dict[str, Callable[..., int]] = {
    "aten.mkldnn_rnn_layer": _recurrent,
    "aten._cudnn_rnn": _recurrent,
    "torchvision.deform_conv2d": _deformable,
    "aten.addbmm": _by_batches,
    "aten._addmm_activation": _by_batches,
    **dict.fromkeys(("aten.mv", "aten.addmv", "aten.dot", "aten.vdot"), _by_vector),
}
