"""Hostile variants of good files, made from a seed: cut, flipped, spliced, deep, huge, twice, no text."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

NASTY_TEXT = (
    "",
    "\x1b]0;x\x07",
    "\u202e",
    "[/]",
    "a" * 5000,
    "../../x",
    "\x00",
    "\udcff",
    "1e999",
    "NaN",
    "{{x}}",
    "é",
)
NASTY: tuple[Any, ...] = (
    None, True, -1, 0, 2**63, 10**400, -(2**31), 1e308, float("nan"), float("inf"), [], {}, [[]], *NASTY_TEXT,
)  # fmt: skip
NUMBERS = (b"99999999999999999999999", b"1e999", b"NaN", b"-0", b"Infinity", b"-1")


def variants(seed: int, whole: bytes, count: int) -> Iterator[bytes]:
    """So many broken forms of a file's bytes."""
    chance = random.Random(seed)
    ways: list[Callable[[random.Random, bytes], bytes]] = [_cut, _flipped, _spliced, _lengths, _doubled, _wild]
    if whole.lstrip()[:1] == b"{":
        ways += [_value, _value, _value, _key_twice, _deep, _number, _no_utf8]
    elif whole.isascii():
        ways += [_number, _no_utf8, _deep, _line]
    for _ in range(count):
        made = whole
        for _ in range(chance.choice((1, 1, 1, 2, 4))):
            made = chance.choice(ways)(chance, made)
        yield made[:4_000_000]


def changed(chance: random.Random, value: Any) -> Any:
    """A value of JSON with one part of it replaced by something nasty."""
    if isinstance(value, dict) and value and chance.random() < 0.85:
        name = chance.choice(sorted(value))
        if chance.random() < 0.1:
            return {key: part for key, part in value.items() if key != name}
        return {**value, name: changed(chance, value[name])}
    if isinstance(value, list) and value and chance.random() < 0.7:
        place = chance.randrange(len(value))
        return [*value[:place], changed(chance, value[place]), *value[place + 1 :]]
    return chance.choice(NASTY)


def _cut(chance: random.Random, whole: bytes) -> bytes:
    return whole[: chance.randrange(len(whole) + 1)]


def _flipped(chance: random.Random, whole: bytes) -> bytes:
    made = bytearray(whole)
    for _ in range(chance.choice((1, 8, 64))):
        if made:
            made[chance.randrange(len(made))] ^= 1 << chance.randrange(8)
    return bytes(made)


def _spliced(chance: random.Random, whole: bytes) -> bytes:
    one, two, three = sorted(chance.randrange(len(whole) + 1) for _ in range(3))
    return whole[:one] + whole[two:three] + whole[one:]


def _lengths(chance: random.Random, whole: bytes) -> bytes:
    place = chance.choice((0, 4, 8, chance.randrange(len(whole) + 1)))
    wild = chance.choice((2**31 - 1, 2**32 - 1, 2**63 - 1, 2**64 - 1, 0, chance.randrange(2**40)))
    return whole[:place] + wild.to_bytes(8, chance.choice(("little", "big"))) + whole[place + 8 :]


def _doubled(chance: random.Random, whole: bytes) -> bytes:
    return whole + whole


def _wild(chance: random.Random, whole: bytes) -> bytes:
    place = chance.randrange(len(whole) + 1)
    return whole[:place] + chance.randbytes(chance.choice((1, 4, 200))) + whole[place:]


def _no_utf8(chance: random.Random, whole: bytes) -> bytes:
    place = chance.randrange(len(whole) + 1)
    return (
        whole[:place] + chance.choice((b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\x00", b"\xe2\x80\xae")) + whole[place:]
    )


def _value(chance: random.Random, whole: bytes) -> bytes:
    try:
        return json.dumps(changed(chance, json.loads(whole))).encode()
    except (ValueError, RecursionError):
        return whole


def _key_twice(chance: random.Random, whole: bytes) -> bytes:
    place = whole.find(b"{") + 1
    return whole[:place] + b'"schema": 1, "schema": [], "version": 2, "version": null, ' + whole[place:]


def _deep(chance: random.Random, whole: bytes) -> bytes:
    depth, place = chance.choice((50, 2000, 100_000)), chance.randrange(len(whole) + 1)
    opened, closed = chance.choice(((b"[", b"]"), (b'{"a":', b"}"), (b"- ", b"")))
    return whole[:place] + opened * depth + b"1" + closed * depth + whole[place:]


def _number(chance: random.Random, whole: bytes) -> bytes:
    digits = [place for place, byte in enumerate(whole) if 48 <= byte <= 57]
    if not digits:
        return whole
    place = chance.choice(digits)
    return whole[:place] + chance.choice(NUMBERS) + whole[place + 1 :]


def _line(chance: random.Random, whole: bytes) -> bytes:
    lines = whole.split(b"\n")
    lines.insert(
        chance.randrange(len(lines)), chance.choice((b"a: &a [*a]", b"? [", b"<<: *x", b"!!python/object:os.x", b"\t"))
    )
    return b"\n".join(lines)
