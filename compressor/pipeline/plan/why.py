"""Why a step runs again: the difference between what its place was last made of and what it is made of now."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_DATA = {"train", "validation", "test"}
_PARTS = {"preprocess": "new preprocessing", "augment": "new augmentation"}
_PLAIN = {"seed": "seed", "device": "device", "isa": "instruction set", "opset": "opset"}
_DIGEST = re.compile(r"[0-9a-f]{64}")
_LONGEST = 40


def reasons(old: Mapping[str, Any], new: Mapping[str, Any], sources: Sequence[tuple[str, str]] = ()) -> list[str]:
    """What changed from one identity of a step to another, in a few words each.

    sources: the step that each input comes from, and its key.

    >>> old, new = ({"stage": "distill", "settings": {"temperature": value}} for value in (4.0, 6.0))
    >>> reasons(old, new)
    ['temperature 4 -> 6']
    """
    if old.get("stage") != new.get("stage"):
        return [f"{old.get('stage')} -> {new.get('stage')}"]
    found = list(_settings(old.get("settings", {}), new.get("settings", {})))
    found += _inputs(old.get("inputs", {}), new.get("inputs", {}), sources)
    found += _task(old.get("task", {}), new.get("task", {}))
    found += [
        f"{words} {_show(old.get(name))} -> {_show(new.get(name))}"
        for name, words in _PLAIN.items()
        if old.get(name) != new.get(name)
    ]
    found += _libraries(old.get("libraries", {}), new.get("libraries", {}))
    if old.get("machine") != new.get("machine"):
        found.append("another machine")
    if old.get("revision") != new.get("revision"):
        found.append(f"{new.get('stage')} works differently now (revision {new.get('revision')})")
    return found


def _settings(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    # Another form of a stage has other settings, which say nothing beside the one that asked for it.
    apart = {name for name in old.keys() ^ new.keys() if not _is_digest(old.get(name, new.get(name)))}
    apart = apart if len(apart) > 1 else set()
    before, after = dict(_leaves(old)), dict(_leaves(new))
    changed = [
        path
        for path in dict.fromkeys([*after, *before])
        if before.get(path) != after.get(path) and path.partition(".")[0] not in apart
    ]
    if apart and not changed:
        yield "other settings"
    for path in changed:
        was, now = before.get(path), after.get(path)
        name = path.removesuffix(".name")
        if _is_digest(was) or _is_digest(now):
            yield f"new {name}"
        else:
            yield f"{name} {_show(was)} -> {_show(now)}"


def _is_digest(value: Any) -> bool:
    if isinstance(value, list):
        return bool(value) and all(map(_is_digest, value))
    return isinstance(value, str) and _DIGEST.fullmatch(value) is not None


def _leaves(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Settings by dotted path; a list is one value."""
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _inputs(old: Mapping[str, Any], new: Mapping[str, Any], sources: Sequence[tuple[str, str]]) -> Iterator[str]:
    known = {key for value in old.values() for key in (value if isinstance(value, list) else [value])}
    steps = [step for step, key in sources if key not in known]
    if steps:
        yield f"after {', '.join(dict.fromkeys(steps))}"
    elif dict(old) != dict(new):
        gone = sorted(set(old) - set(new))
        yield f"without {', '.join(gone)}" if gone else "other inputs"


def _task(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    changed = [part for part in sorted({*old, *new}) if old.get(part) != new.get(part)]
    data = ["new data"] if _DATA & set(changed) else []
    return data + [_PARTS.get(part, f"new {part}") for part in changed if part not in _DATA]


def _libraries(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted({*old} & {*new}):
        if old[name] != new[name]:
            yield f"{name} {_show(old.get(name))} -> {_show(new.get(name))}"


def _show(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, str):
        return value if len(value) <= _LONGEST else value[: _LONGEST - 1] + "…"
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
