"""Weights by name into a network: its own loading, what files wrap around names, and what lies beside them."""

from __future__ import annotations

import copy
import re
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from compressor.device.memory import short_of_memory
from compressor.errors import CompressError, InputError
from compressor.models import computed, heads, library_forms, plain, tensors
from compressor.models.names import Reference

State = Mapping[str, Any]
Say = Callable[[str], None]
# Counters that old files lack and that an average with a fixed momentum never reads; extra state is the network's own.
_OPTIONAL = ("num_batches_tracked", "_extra_state")
# Heads that only helped the authors' training; the catalogue builds the networks without them.
_AUXILIARY = ("AuxLogits.", "aux1.", "aux2.")
# What training scripts and profilers leave beside a network: by the first part of a name, and by the last.
_BESIDE = re.compile(
    r"(criteri(on|a)|.*loss.*|.*metrics?|optim(izer)?s?|(lr_)?scheduler|scaler|.*(acc|accuracy|auroc|f1)|masks?)"
)
_COUNTERS = ("num_batches_tracked", "total_ops", "total_params", "n_averaged", "weight_mask", "bias_mask")


def put(
    model: nn.Module,
    state: State,
    where: str,
    *,
    new_head: bool = False,
    ref: Reference | None = None,
    input_shape: Sequence[int] | None = None,
    say: Say = lambda _: None,
) -> list[str]:
    """Load weights into the model by its own `load_state_dict`; what you get is the names of the tensors that kept the
    model's own values.

    One prefix that all names of the network wear is taken off; what lies beside the network is left, and told to
    `say`. new_head: a last layer of another shape begins anew, instead of being a mistake. It begins at zero, so that
    all classes are alike at first: timm draws one of five classes so wide that training begins at a loss of 5, where
    trained features need epochs to unlearn it. ref: the library's network that the model is, whose own filter for old
    names is asked. input_shape: [channels, height, width], to see which layer answers. where: leads the messages.

    Raises:
        InputError: weights of another architecture or of whole numbers, or weights that are not finite numbers.
    """
    state = tensors.dense(where, state)
    head = heads.names(model, input_shape)
    spare = set(head) if new_head else set()
    inner, notes = _unwrapped(model, state, spare)
    fit = _Fit(model, inner, head, new_head, where)
    channels = input_shape[0] if input_shape is not None else None
    if fit.wrong and ref is not None and (other := library_forms.today(ref, model, inner, channels)) is not None:
        translated = _Fit(model, other, head, new_head, where)
        fit = min(translated, fit, key=lambda one: one.wrong)
        if not translated.wrong and (sized := _resized(inner, translated.given)):
            notes.append(
                f"fitted to pictures of {'x'.join(map(str, input_shape or ()))} as {ref.library} does: {sized}"
            )
    if fit.wrong:
        computed_state, words = computed.plain(state)
        if plain.bake(model) or words:
            inner, notes = _unwrapped(model, computed_state, spare)
            fit = _Fit(model, inner, head, new_head, where)
            notes += [f"computed from what {where} holds: {_shortly(words)}"] if words else []
    if fit.wrong:
        raise fit.misfit(where)
    free = {name for name, _ in model.named_buffers()}
    own = model.state_dict()
    for name, value in fit.given.items():
        if isinstance(value, Tensor) and (name not in own or own[name].is_floating_point()):
            tensors.check_numbers(f"{where}: {name}", value, infinite=name in free)
    with _own_loading(where):
        model.load_state_dict(fit.given, strict=False)
    with torch.no_grad():
        own = model.state_dict()
        for name in fit.kept:
            own[name].zero_()
    if fit.beside:
        notes.append(f"left aside in {where}, as no part of the network: {_shortly(fit.beside)}")
    for note in notes:
        say(note)
    return fit.kept


class _Fit:
    """What the network's own loading says about weights, tried on a copy without memory."""

    def __init__(self, model: nn.Module, state: State, head: Sequence[str], new_head: bool, where: str) -> None:
        self.own = {name: value for name, value in model.state_dict().items() if isinstance(value, Tensor)}
        self.head = [name for name in head if name in self.own]
        self.kept: list[str] = []
        given = _with_twins(model, state)
        missing, unexpected, shapes = _tried(model, given, where)
        if new_head and any(name in missing or name in shapes for name in self.head):
            self.kept = self.head
            for name in self.head:
                given.pop(name, None)
            missing, unexpected, shapes = _tried(model, given, where)
        self.beside = [name for name in unexpected if _is_beside(name, self.own)]
        self.unexpected = [name for name in unexpected if name not in self.beside]
        self.missing = [name for name in missing if name not in self.kept and not name.endswith(_OPTIONAL)]
        self.shapes = [name for name in shapes if name not in self.kept]
        self.wrong = len(self.missing) + len(self.unexpected) + len(self.shapes)
        self.first = f"{self.unexpected[0]}{_size(given.get(self.unexpected[0]))}" if self.unexpected else ""
        for name in (*self.beside, *self.unexpected):
            given.pop(name, None)
        self.given = given

    def misfit(self, where: str) -> InputError:
        """What is wrong, with the first name of each kind."""

        def shapes(name: str) -> str:
            have = list(self.given[name].shape) if name in self.given else "another shape"
            return f"{name} ({have} in the file, {list(self.own[name].shape)} in the network)"

        if self.shapes and not self.missing and not self.unexpected and set(self.shapes) <= set(self.head):
            name = self.shapes[0]
            have, want = self.given[name].shape[0], self.own[name].shape[0]
            return InputError(
                where, f"they answer with {have} classes and the task has {want}: {shapes(name)}",
                "use `finetune`, which replaces the last layer, or weights for these classes",
            )  # fmt: skip
        parts = []
        if self.missing:
            first = self.missing[0]
            parts.append(f"{len(self.missing)} missing, the first {first}{_size(self.own.get(first))}")
        if self.unexpected:
            parts.append(f"{len(self.unexpected)} unexpected, the first {self.first}")
        if self.shapes:
            parts.append(f"{len(self.shapes)} of another shape, the first {shapes(self.shapes[0])}")
        same = not self.missing and not self.unexpected
        other = "another architecture, or of pictures of another size" if same else "another architecture"
        what = f"they are of {other}: {'; '.join(parts)} (of {len(self.own)})"
        return InputError(where, what, "name the network that they belong to")


def _resized(before: State, after: State) -> str:
    """Names of the tensors whose shape changed; one that another layer's tensor came to under a new name has not."""
    kept = {one.data_ptr() for one in before.values() if isinstance(one, Tensor)}
    tensors = {name: one for name, one in after.items() if isinstance(one, Tensor) and one.data_ptr() not in kept}
    return _shortly([name for name, one in tensors.items() if _size(before.get(name, one)) != _size(one)])


def _size(value: Tensor | None) -> str:
    return f" {list(value.shape)}" if isinstance(value, Tensor) else ""


def _tried(model: nn.Module, given: OrderedDict[str, Any], where: str) -> tuple[list[str], list[str], list[str]]:
    """Names that are missing, that are unexpected, and that have another shape, by `load_state_dict` and its hooks."""
    trial = copy.deepcopy(model).to("meta")
    with warnings.catch_warnings(), _own_loading(where):
        warnings.simplefilter("ignore")  # of copying into a network without memory, which is what is meant
        if getattr(given, "_metadata", None) is None:
            try:
                return _answered(trial, given)
            except (RuntimeError, ValueError, KeyError, AssertionError):
                # Some layers refuse weights without a version; without one they are taken to be today's.
                given._metadata = getattr(model.state_dict(), "_metadata", {})  # type: ignore[attr-defined]
        return _answered(trial, given)


@contextmanager
def _own_loading(where: str) -> Iterator[None]:
    """Hooks of the network's own may raise anything.

    Raises:
        InputError: with what was raised.
    """
    try:
        yield
    except CompressError:
        raise
    except Exception as problem:
        if short_of_memory(problem):
            raise
        reason = " ".join(str(problem).split())[:200]
        raise InputError(
            where,
            f"the network's own loading fails on them ({type(problem).__name__}: {reason})",
            "mend its `load_state_dict` and the hooks of its layers, or save the weights with today's network",
        ) from problem


def _answered(trial: nn.Module, given: State) -> tuple[list[str], list[str], list[str]]:
    try:
        missing, unexpected = trial.load_state_dict(given, strict=False)
        return list(missing), list(unexpected), []
    except RuntimeError as problem:
        shapes = re.findall(r"size mismatch for ([^\s:]+):", str(problem))
        if not shapes:
            raise
    own = trial.state_dict()
    rest = OrderedDict((name, value) for name, value in given.items() if name not in shapes)
    for name in shapes:
        if name not in given:  # the network's own loading renamed it on the way, so that nothing is known but the name
            return [], [], shapes
        rest[name] = own[name]
    rest._metadata = getattr(given, "_metadata", None)  # type: ignore[attr-defined]
    missing, unexpected = trial.load_state_dict(rest, strict=False)
    return list(missing), list(unexpected), shapes


def _with_twins(model: nn.Module, state: State) -> OrderedDict[str, Any]:
    """A copy of the weights in which a tensor that the network has under several names stands under all of them."""
    full = OrderedDict(state)
    if (metadata := getattr(state, "_metadata", None)) is not None:
        full._metadata = metadata  # type: ignore[attr-defined]
    shared: dict[int, list[str]] = {}
    for pairs in (model.named_parameters(remove_duplicate=False), model.named_buffers(remove_duplicate=False)):
        for name, tensor in pairs:
            shared.setdefault(id(tensor), []).append(name)
    for names in shared.values():
        held = next((name for name in names if name in state), None)
        if held is not None:
            full.update({name: state[held] for name in names if name not in state})
    return full


def _unwrapped(model: nn.Module, state: State, spare: set[str]) -> tuple[State, list[str]]:
    """The weights without the one prefix under which all of the network's names are found, and what to say about it;
    as they are where there is none such."""
    wanted = [name for name in model.state_dict() if not name.endswith(_OPTIONAL) and name not in spare]
    twins = {name for names in _shared(model) for name in names[1:]}
    wanted = [name for name in wanted if name not in twins]
    if not wanted or all(name in state for name in wanted):
        return state, []
    found = [p for p in _prefixes(state, wanted) if all(f"{p}{name}" in state for name in wanted)]
    if not found:
        # Names that only the library's own code knows may hide the fit: the prefix that all names wear comes off.
        common = next((p for p in _WORN if state and all(name.startswith(p) for name in state)), None)
        if common is None:
            return state, []
        return _unwrapped(model, _taken(state, common), spare)
    prefix = found[0]
    rest = [name for name in state if not name.startswith(prefix)]
    notes = [f"names begin with `{prefix}` in the file"]
    if len(found) > 1:
        notes[0] += f"; the network lies there under `{'`, `'.join(found[1:])}` too (`key` names another one)"
    if rest:
        notes.append(f"left aside, as no part of the network: {_shortly(rest)}")
    return _taken(state, prefix), notes


_WORN = ("module.", "_orig_mod.", "model.", "net.", "backbone.")


def _shared(model: nn.Module) -> list[list[str]]:
    shared: dict[int, list[str]] = {}
    for name, tensor in model.named_parameters(remove_duplicate=False):
        shared.setdefault(id(tensor), []).append(name)
    return list(shared.values())


def _prefixes(state: State, wanted: Sequence[str]) -> list[str]:
    """Prefixes before one of the network's names, in the order of the file."""
    anchor = max(wanted, key=len)
    return [name[: -len(anchor)] for name in state if name.endswith(f".{anchor}")]


def _taken(state: State, prefix: str) -> OrderedDict[str, Any]:
    """What has the prefix, without it; versions of layers follow their names."""
    taken = OrderedDict((name[len(prefix) :], value) for name, value in state.items() if name.startswith(prefix))
    metadata = getattr(state, "_metadata", None)
    if metadata is not None:
        inner = {name[len(prefix) :]: held for name, held in metadata.items() if f"{name}.".startswith(prefix)}
        taken._metadata = OrderedDict(inner)  # type: ignore[attr-defined]
    return taken


def _is_beside(name: str, own: State) -> bool:
    """Whether something is no part of any network: a loss, a counter, a mask, a head that only helped the training."""
    first, last = name.split(".")[0], name.split(".")[-1]
    if last in _COUNTERS or name.startswith(_AUXILIARY):
        return True
    return first not in {one.split(".")[0] for one in own} and _BESIDE.fullmatch(first) is not None


def _shortly(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
