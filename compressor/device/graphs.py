"""What a graph may be: an ONNX file is walked, and neither built nor expanded."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

LARGEST_FILE = 2 * 2**30
MOST_NODES = 50_000  # with what functions and inner graphs add, as often as they are called
MOST_NESTED = 32  # graphs in graphs, functions that call functions
MOST_FIELDS = 2_000_000
LARGEST_STRUCTURE = 2**27  # bytes of names, attributes and types: of all but tensors and notes
BITS = {
    1: 32, 2: 8, 3: 8, 4: 16, 5: 16, 6: 32, 7: 64, 8: 0, 9: 8, 10: 16, 11: 64, 12: 32, 13: 64, 14: 64, 15: 128, 16: 16,
    17: 8, 18: 8, 19: 8, 20: 8, 21: 4, 22: 4, 23: 4, 24: 8, 25: 2, 26: 2, 27: 6, 28: 6,
}  # fmt: skip
"""ONNX's element types, and the bits of one element."""
DOMAINS = frozenset({
    "", "ai.onnx", "ai.onnx.ml", "ai.onnx.training", "ai.onnx.preview", "ai.onnx.preview.training", "com.microsoft",
    "com.microsoft.nchwc", "com.microsoft.experimental", "com.ms.internal.nhwc",
})  # fmt: skip
"""Operator sets that onnxruntime brings along."""


def check_graph(path: Path, *, external: bool = False) -> None:
    """Refuse an ONNX file that takes hold of a machine by its mere size, with a ValueError that says why.

    The file is walked field by field, and neither built nor expanded: functions are counted as often as they would be
    called. external: whether weights may lie in other files, in or below the file's own folder.
    """
    with path.open("rb") as stream:
        if not os.fstat(stream.fileno()).st_size:
            raise ValueError("is no ONNX file (it is empty)")
        _Walk(external).model(memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)))


class _Part:
    """What is counted in a graph or in a function: its nodes, its depth, and what its nodes may call."""

    def __init__(self) -> None:
        self.nodes, self.depth = 0, 0
        self.calls: dict[tuple[str, str, str], tuple[int, int]] = {}  # name: how often, and how deep at most

    def call(self, name: tuple[str, str, str], depth: int) -> None:
        often, deepest = self.calls.get(name, (0, 0))
        self.nodes, self.depth = self.nodes + 1, max(self.depth, depth)
        self.calls[name] = (often + 1, max(deepest, depth))


class _Walk:
    """One walk through a model's bytes. The numbers of the fields are those of onnx.proto."""

    def __init__(self, external: bool) -> None:
        self._external, self._fields_left, self._structure = external, MOST_FIELDS, 0
        self._functions: dict[tuple[str, str, str], _Part] = {}
        self._totals: dict[tuple[str, str, str], tuple[int, int]] = {}

    def model(self, data: memoryview) -> None:
        whole, graphs = _Part(), 0
        for field, value in self._fields(data):
            if field == 7:
                graphs += 1
                self._graph(self._bytes(value), whole, 0)
            elif field == 25:
                self._function(self._bytes(value))
            elif field == 20:
                raise ValueError("brings training graphs along, which nothing here runs")
        if graphs != 1:
            raise ValueError(f"is no ONNX file (it holds {graphs or 'no'} graphs)")
        self._total(whole, ())
        own = {domain for domain, _, _ in self._functions}
        called = {name for part in (whole, *self._functions.values()) for name in part.calls}
        for domain, kind, _ in sorted(called):
            if domain not in DOMAINS and domain not in own:
                raise ValueError(
                    f"has operators of {domain[:80]!r} ({kind[:80]!r}), which onnxruntime does not bring along"
                )

    def _total(self, part: _Part, trail: tuple[tuple[str, str, str], ...]) -> tuple[int, int]:
        """Nodes and depth of a part once all its calls are expanded."""
        nodes, depth = part.nodes, part.depth
        for name, (often, deep) in part.calls.items():
            if name in self._functions:
                if name in trail:
                    raise ValueError(f"has a function that calls itself ({name[1][:80]!r})")
                if len(trail) >= MOST_NESTED:
                    raise ValueError(f"nests functions and graphs more than {MOST_NESTED} deep")
                if name not in self._totals:
                    self._totals[name] = self._total(self._functions[name], (*trail, name))
                inner, below = self._totals[name]
                nodes, depth = nodes + often * inner, max(depth, deep + 1 + below)
        if nodes > MOST_NODES:
            raise ValueError(f"has more than {MOST_NODES:,} operators once its functions are expanded")
        if depth > MOST_NESTED:
            raise ValueError(f"nests functions and graphs more than {MOST_NESTED} deep")
        return nodes, depth

    def _graph(self, data: memoryview, part: _Part, depth: int) -> None:
        if depth > MOST_NESTED:
            raise ValueError(f"nests functions and graphs more than {MOST_NESTED} deep")
        for field, value in self._fields(data):
            if field == 1:
                self._node(self._bytes(value), part, depth)
            elif field == 5:
                self._tensor(self._bytes(value))
            elif field == 15:
                self._sparse(self._bytes(value))
            elif field in (11, 12):
                self._port(self._bytes(value))
            elif field == 13:
                self._counted(value)

    def _function(self, data: memoryview) -> None:
        part, words = _Part(), {1: "", 10: "", 13: ""}
        for field, value in self._fields(data):
            if field == 7:
                self._node(self._bytes(value), part, 0)
            elif field == 11:
                self._attribute(self._bytes(value), part, 0)
            elif field in words:
                words[field] = self._text(value)
        self._functions[(_domain(words[10]), words[1], words[13])] = part

    def _node(self, data: memoryview, part: _Part, depth: int) -> None:
        words = {4: "", 7: "", 8: ""}
        for field, value in self._fields(data):
            if field == 5:
                self._attribute(self._bytes(value), part, depth)
            elif field in words:
                words[field] = self._text(value)
            elif field != 6 and field != 9:
                self._counted(value)
        part.call((_domain(words[7]), words[4], words[8]), depth)
        if part.nodes > MOST_NODES:
            raise ValueError(f"has more than {MOST_NODES:,} operators")

    def _attribute(self, data: memoryview, part: _Part, depth: int) -> None:
        for field, value in self._fields(data):
            if field in (5, 10):
                self._tensor(self._bytes(value))
            elif field in (6, 11):
                self._graph(self._bytes(value), part, depth + 1)
            elif field in (22, 23):
                self._sparse(self._bytes(value))
            elif field != 13:
                self._counted(value)

    def _port(self, data: memoryview) -> None:
        """An input or output, whose element type must be one that there is."""
        self._counted(data)
        for field, value in self._fields(data):
            for kind, tensor in self._fields(self._bytes(value)) if field == 2 else ():
                for inner, element in self._fields(self._bytes(tensor)) if kind == 1 else ():
                    if inner == 1 and element not in BITS:
                        raise ValueError(f"has an input or output of the element type {element}, which is not known")

    def _sparse(self, data: memoryview) -> None:
        dims: list[int] = []
        for field, value in self._fields(data):
            if field in (1, 2):
                self._tensor(self._bytes(value))
            elif field == 3:
                dims += self._numbers(value)
        if product(dims) > LARGEST_FILE // 8:
            raise ValueError(f"has a sparse tensor of {dims[:8]}, which is too large")

    def _tensor(self, data: memoryview) -> None:
        """A tensor's data must be there, and be as much as its sizes say."""
        dims: list[int] = []
        kind, raw, typed, outside, place = 0, None, 0, False, ""
        for field, value in self._fields(data):
            if field == 1:
                dims += self._numbers(value)
            elif field == 2:
                kind = value if isinstance(value, int) else 0
            elif field == 9:
                raw = len(self._bytes(value))
            elif field in (5, 7, 11):  # varints, one after the other where they are packed
                typed += 1 if isinstance(value, int) else len(bytes(value).translate(None, _CONTINUED))
            elif field in (4, 10):
                typed += 1 if isinstance(value, int) else len(value) // (4 if field == 4 else 8)
            elif field == 6:
                typed += 1
                self._counted(value)
            elif field == 13:
                key, text = self._entry(value)
                outside, place = True, text if key == "location" else place
            elif field == 14:
                outside = outside or value == 1
        if kind not in BITS:
            raise ValueError(f"has a tensor of the element type {kind}, which is not known")
        if outside:
            self._outside(place)
            return
        wanted = product(dims)
        held = typed * max(1, 8 // (BITS[kind] or 8))
        if wanted > held if raw is None else wanted * BITS[kind] > raw * 8:
            raise ValueError(f"has a tensor of {dims[:8]} without the numbers for it")

    def _outside(self, place: str) -> None:
        if not self._external:
            raise ValueError("keeps weights in another file")
        parts = place.replace("\\", "/").split("/")
        if not place or place.startswith(("/", "\\")) or ".." in parts or ":" in place or "\0" in place:
            raise ValueError(f"keeps weights outside of its folder ({place[:80]!r})")

    def _entry(self, value: int | memoryview) -> tuple[str, str]:
        words = {1: "", 2: ""}
        for field, text in self._fields(self._bytes(value)):
            if field in words:
                words[field] = self._text(text)
        return words[1], words[2]

    def _numbers(self, value: int | memoryview) -> list[int]:
        """A repeated number, alone or packed; below zero it is none."""
        found, place = [], 0
        if isinstance(value, int):
            found = [value]
        else:
            while place < len(value):
                number, place = _varint(value, place)
                found.append(number)
        if any(number >= 2**63 for number in found):
            raise ValueError("has a tensor with a size below zero")
        return found

    def _text(self, value: int | memoryview) -> str:
        self._counted(value)
        return bytes(self._bytes(value)).decode("utf-8", errors="replace")

    def _bytes(self, value: int | memoryview) -> memoryview:
        if isinstance(value, int):
            raise ValueError("is no ONNX file (a field is of another kind)")
        return value

    def _counted(self, value: int | memoryview) -> None:
        self._structure += 8 if isinstance(value, int) else len(value)
        if self._structure > LARGEST_STRUCTURE:
            raise ValueError(f"has more than {LARGEST_STRUCTURE:,} bytes of names and attributes")

    def _fields(self, data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
        """Number and value of each field of a message: a whole number, or the bytes of all else."""
        place, end = 0, len(data)
        while place < end:
            self._fields_left -= 1
            if self._fields_left < 0:
                raise ValueError(f"has more than {MOST_FIELDS:,} entries")
            key, place = _varint(data, place)
            wire, size = key & 7, 0
            if wire == 0:
                number, place = _varint(data, place)
                yield key >> 3, number
                continue
            if wire == 2:
                size, place = _varint(data, place)
            elif wire in (1, 5):
                size = 8 if wire == 1 else 4
            else:
                raise ValueError("is no ONNX file (a field is of a kind that there is not)")
            if size > end - place:
                raise ValueError("is no ONNX file (it is cut short)")
            yield key >> 3, data[place : place + size]
            place += size


_CONTINUED = bytes(range(128, 256))


def _varint(data: memoryview, place: int) -> tuple[int, int]:
    """A whole number of protobuf, 7 bits a byte, and the place behind it."""
    number = shift = 0
    while place < len(data) and shift < 70:
        byte = data[place]
        number |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return number, place
    raise ValueError("is no ONNX file (a number does not end)")


def _domain(name: str) -> str:
    return "" if name == "ai.onnx" else name


def product(sizes: Sequence[int]) -> int:
    """The product of sizes, however large; at most 2 ** 62."""
    product = 1
    for size in sizes:
        product = min(product * size, 2**62) if size else 0
    return product
