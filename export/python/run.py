"""The device's runner: pixels in, answers out, with numpy, onnxruntime and Pillow and nothing else.

A single file, so that it can be copied beside a bundle. The section "preprocessing" is the only implementation of
preprocessing there is: training, evaluation and `verify` load it from here.

Nothing that lies beside this file, in the bundle or in the current folder is imported: `python run.py` takes those
folders off the import path before its first import (so there is no `from __future__`, which is one). What Python
itself imports before it reads this file (`sitecustomize`, and with `-m` the modules that find this one) is beyond it.
"""

import sys

if __name__ == "__main__":
    _path = sys.path[:]
    sys.path[:] = [entry for entry in _path[1:] if entry not in ("", ".")]
    import os

    def _real(folder: str) -> str:
        try:
            return os.path.normcase(os.path.realpath(folder))
        except OSError:  # the current folder is gone
            return folder

    _words = [word.partition("=") for word in sys.argv[1:]]
    _bundles = [
        value or after[0]
        for (name, _, value), after in zip(_words, [*_words[1:], ("", "", "")])  # noqa: B905  # strict= is Python 3.10
        if len(name) > 3 and "--bundle".startswith(name)
    ]
    _own = {_real(folder) for folder in (os.path.dirname(__file__) or ".", os.path.dirname(_real(__file__)), *_bundles)}
    if os.path.basename(_real(".")) not in ("site-packages", "dist-packages"):
        _own.add(_real("."))
    sys.path[:] = [entry for entry in _path if os.path.isabs(entry) and _real(entry) not in _own]

    def _last_words(kind, error, trace) -> None:
        if issubclass(kind, KeyboardInterrupt) and sys.stderr is not None:
            sys.stderr.write("run.py: interrupted before anything was begun\n")
        else:
            sys.__excepthook__(kind, error, trace)

    sys.excepthook = _last_words
    for _number_of_stream in (0, 1, 2):  # no file that is opened later is taken for a stream that is closed
        try:
            os.fstat(_number_of_stream)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if os.environ.pop("PYTHONWARNINGS", None):
        import warnings

        warnings.simplefilter("ignore")

import argparse
import contextlib
import errno
import gc
import hashlib
import io
import json
import mmap
import os
import platform
import re
import signal
import stat
import struct
import subprocess
import tempfile
import threading
import time
import warnings
import zipfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from math import comb
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, TextIO

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # onnxruntime sends nothing from here unless its user wants that
if __name__ == "__main__":
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # it multiplies nothing here, and each thread takes 40 MB
try:
    import resource
except ImportError:  # Windows limits nothing
    resource = None  # type: ignore[assignment]
try:
    mmap.mmap(-1, 96 * 2**20).close()  # OpenBLAS ends the process in its own words where it gets less
    import numpy as np
    import PIL
    from PIL import Image
except (ImportError, MemoryError, OSError) as _error:
    _words = ("allocate memory", "map segment", "static tls")
    if __name__ != "__main__" or not (isinstance(_error, MemoryError) or any(w in str(_error).lower() for w in _words)):
        raise
    sys.stderr.write(f"run.py: numpy and Pillow: the memory does not suffice to load them ({_error}); "
                     "end other programs or raise the limit on memory (`ulimit -v`)\n")  # fmt: skip
    sys.exit(7)

# --- preprocessing ---------------------------------------------------------------------------------------------------

Steps = Sequence[Mapping[str, Any]]

GEOMETRIC = ("resize", "pad", "center_crop", "channels", "bits")
DEPTHS = (8, 10, 12, 16)
NUMERIC = ("scale", "mean", "std")
MODES = {"rgb": "RGB", "gray": "L"}
INTERPOLATIONS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
SAMPLE_FORMATS = ("PNG", "JPEG")
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
LARGEST_SIDE = 16_384
LARGEST_NUMBER = float(np.finfo(np.float32).max)


def check_preprocess(steps: Steps) -> None:
    """Refuse a list that is not one of ours with a ValueError: `item: what is wrong; what to do`."""
    seen: list[str] = []
    for place, item in enumerate(steps):
        if not isinstance(item, Mapping) or len(item) != 1:
            raise ValueError(f"item {place + 1}: {item!r} is not one `name: value`; write one name an item")
        ((name, value),) = item.items()
        if name not in GEOMETRIC + NUMERIC:
            known = ", ".join(GEOMETRIC + NUMERIC)
            raise ValueError(f"item {place + 1}: no step is called {name!r}; there are {known}")
        if name in GEOMETRIC and any(before in NUMERIC for before in seen):
            raise ValueError(f"{name}: comes after {seen[-1]}; put {', '.join(GEOMETRIC)} before scale, mean and std")
        if name == "bits" and seen:
            raise ValueError(f"bits: comes after {seen[-1]}; put it first")
        if name in ("channels", *NUMERIC) and name in seen:
            raise ValueError(f"{name}: stands there twice; leave one out")
        if name in NUMERIC and any(NUMERIC.index(before) > NUMERIC.index(name) for before in seen if before in NUMERIC):
            raise ValueError(f"{name}: comes after {seen[-1]}; the order is scale, mean, std")
        _check_value(name, value)
        seen.append(name)
    _check_lengths({name: value for item in steps for name, value in item.items()})
    _check_numbers(steps)


def _check_value(name: str, value: Any) -> None:
    if name == "resize":
        kinds = [key for key in ("shortest", "longest", "exact") if isinstance(value, Mapping) and key in value]
        extra = set(value) - {*kinds, "interpolation"} if isinstance(value, Mapping) else set()
        if len(kinds) != 1 or extra:
            raise ValueError(f"resize: is {value!r}; write one of shortest, longest, exact (and interpolation)")
        size = value[kinds[0]]
        if not (_is_size(size) if kinds[0] == "exact" else _is_side(size)):
            raise ValueError(f"resize: {kinds[0]} is {size!r}; write {_wanted(kinds[0] == 'exact')}")
        if value.get("interpolation", "bilinear") not in tuple(INTERPOLATIONS):
            known = ", ".join(INTERPOLATIONS)
            raise ValueError(f"resize: interpolation is {value['interpolation']!r}; there are {known}")
    elif name == "pad":
        if not isinstance(value, Mapping) or set(value) - {"to", "fill"} or not _is_size(value.get("to")):
            raise ValueError(f"pad: is {value!r}; write {{to: [height, width], fill: 0}}")
        fill = value.get("fill", 0)
        if not _is_int(fill) or not 0 <= fill <= 255:
            raise ValueError(f"pad: fill is {fill!r}; write a whole number from 0 to 255")
    elif name == "center_crop" and not _is_size(value):
        raise ValueError(f"center_crop: is {value!r}; write {_wanted(True)}")
    elif name == "bits" and not (_is_int(value) and value in DEPTHS):
        raise ValueError(f"bits: is {value!r:.40}; write one of {', '.join(map(str, DEPTHS))}")
    elif name == "channels" and value not in tuple(MODES):
        raise ValueError(f"channels: is {value!r}; write rgb or gray")
    elif name == "scale" and not (_is_number(value) and value > 0):
        raise ValueError(f"scale: is {value!r:.40}; write a number above 0, such as 255")
    elif name in ("mean", "std"):
        numbers = isinstance(value, Sequence) and not isinstance(value, str) and all(_is_number(x) for x in value)
        if not numbers or len(value) not in (1, 3):
            raise ValueError(f"{name}: is {value!r}; write a list of 1 or 3 numbers, one a channel")
        if name == "std" and min(value) <= 0:
            raise ValueError(f"std: is {value!r}; write numbers above 0")


def _check_lengths(given: Mapping[str, Any]) -> None:
    lengths = {name: len(given[name]) for name in ("mean", "std") if name in given}
    if "channels" in given:
        lengths["channels"] = len(MODES[given["channels"]])
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        raise ValueError(f"{next(iter(lengths))}: {found} in this list; give mean and std one number a channel")


def _check_numbers(steps: Steps) -> None:
    """Refuse numbers that make pixels infinite, or black and white the same, once they are float32."""
    given = [item for item in steps if not set(item).isdisjoint(NUMERIC)]
    channels = max([len(value) for item in given for value in item.values() if isinstance(value, Sequence)], default=1)
    pixels = np.array([0, 255], np.uint8)[:, None, None, None].repeat(channels, axis=3)
    for place, item in enumerate(given):
        with np.errstate(all="ignore"):
            black, white = numeric(pixels, given[: place + 1])
        if not np.isfinite([black, white]).all() or (black == white).any():
            ((name, value),) = item.items()
            raise ValueError(f"{name}: is {value!r}, with which float32 numbers cannot tell pixels apart; "
                             "write numbers nearer to 1")  # fmt: skip


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return (_is_int(value) or isinstance(value, float)) and bool(abs(value) <= LARGEST_NUMBER)


def _is_side(value: Any) -> bool:
    return _is_int(value) and 1 <= value <= LARGEST_SIDE


def _is_size(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 2 and all(map(_is_side, value))


def _wanted(pair: bool) -> str:
    return f"{'[height, width]' if pair else 'a number'} of pixels, 1 to {LARGEST_SIDE:,}"


def decode(encoded: bytes, formats: Sequence[str] = FORMATS) -> Image.Image:
    """The upright picture in a file's bytes (its EXIF orientation applied); ValueError where it cannot be read.

    formats: Pillow's readers that may open it; some of the others start programs, such as Ghostscript.
    """
    try:
        with _QUIET, Image.open(io.BytesIO(encoded), formats=formats) as image:
            # A TIFF reader needs its file for its tags, a PNG reader all of its pixels.
            turned = _orientation(image) if image.format == "TIFF" else None
            image.getexif = Image.Exif  # type: ignore[method-assign]  # pixels do not depend on what is told of them
            image.load()
            del image.getexif
            turned = turned or _orientation(image)
            return image.transpose(turned) if turned is not None else image.copy()
    except Exception as error:  # Pillow's readers raise almost anything on a damaged file
        # Pillow names the object that it was given, which says nothing of the file.
        known = ", ".join("PPM, PGM, PBM" if name == "PPM" else name for name in formats)
        unknown = f"it is none of {known}" if encoded else "the file is empty"
        reason = unknown if isinstance(error, PIL.UnidentifiedImageError) else error
        raise ValueError(f"cannot be read as a picture ({reason}); replace or remove it") from error


def _orientation(image: Image.Image) -> "Image.Transpose | None":
    """How the EXIF data say that the picture must be turned; None where they do not, or cannot be read."""
    try:
        return TURNS.get(image.getexif().get(0x0112))
    except Exception:  # Pillow parses what any camera or editor wrote
        return None


class _Quiet:
    """Pillow's warnings of odd metadata, kept off the console whatever the filters; may be entered by many threads."""

    def __init__(self) -> None:
        self._lock, self._inside = threading.Lock(), 0

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._filters = warnings.catch_warnings()
                self._filters.__enter__()
                warnings.simplefilter("ignore")
            self._inside += 1

    def __exit__(self, *problem: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._filters.__exit__(None, None, None)


_QUIET = _Quiet()


def geometric(image: Image.Image, steps: Steps) -> np.ndarray:
    """uint8 [height, width, channels] after bits, resize, pad, center_crop and channels, in the order given.

    ValueError where the picture has other channels than grey or RGB and no `channels` step, is smaller than a crop,
    or is larger than a pad.
    """
    image = coloured(image, steps)
    for item in steps:
        ((name, value),) = item.items()
        if name == "resize":
            size = resized((image.height, image.width), value)
            image = image.resize((size[1], size[0]), INTERPOLATIONS[value.get("interpolation", "bilinear")])
        elif name == "pad":
            image = _padded(image, value["to"], value.get("fill", 0))
        elif name == "center_crop":
            image = _center_cropped(image, value)
        elif name == "channels":
            image = image.convert(MODES[value])
    pixels = np.asarray(image)
    return np.ascontiguousarray(pixels if pixels.ndim == 3 else pixels[:, :, None])


def coloured(image: Image.Image, steps: Steps) -> Image.Image:
    """The picture as the first change of size finds it: in a plain mode, or converted where `channels` comes first."""
    converts = next((item["channels"] for item in steps if "channels" in item), None)
    bits = next((item["bits"] for item in steps if "bits" in item), DEPTHS[-1])
    image = plain_mode(image, converts=converts is not None, bits=bits)
    first = next((name for item in steps for name in item if name != "bits"), "")
    return image.convert(MODES[converts]) if first == "channels" else image


def resized(size: Sequence[int], value: Mapping[str, Any]) -> tuple[int, int]:
    """(height, width) that `resize: value` makes of (height, width)."""
    if "exact" in value:
        return int(value["exact"][0]), int(value["exact"][1])
    height, width = size
    one_side = min(size) if "shortest" in value else max(size)
    target = int(value["shortest"] if "shortest" in value else value["longest"])
    # Whole numbers, rounded down, as torchvision does: the side that is named is met exactly.
    return max(1, target * height // one_side), max(1, target * width // one_side)


def plain_mode(image: Image.Image, *, converts: bool, bits: int = DEPTHS[-1]) -> Image.Image:
    """The picture as L or RGB, or as what `channels` can convert: resizing a palette would not be antialiased.

    bits: how many of a grey pixel's 16 bits are used; the upper eight of them are kept.
    """
    if image.mode in ("L", "RGB"):
        return image
    if image.mode == "1":
        return image.convert("L")
    if image.mode == "P" and "transparency" not in image.info:
        return image.convert("RGB")
    if not converts:
        raise ValueError(f"the picture is {image.mode}, not RGB or grey; add `channels: rgb` (or gray) to preprocess")
    if image.mode.startswith("I"):
        # 16 bits a pixel; Pillow's own conversion would clip everything above 255 to white.
        shades = np.clip(np.asarray(image).astype(np.int64), 0, 2**bits - 1) >> (bits - 8)
        return Image.fromarray(shades.astype(np.uint8))
    if image.mode == "F":
        raise ValueError("the picture holds floating-point pixels (mode F); save it with 8 bits a channel")
    return image if image.mode in ("RGBA", "LA") else image.convert("RGBA" if image.mode in ("P", "PA") else "RGB")


def _padded(image: Image.Image, to: Sequence[int], fill: int) -> Image.Image:
    height, width = to
    if image.height > height or image.width > width:
        size = f"{image.height}x{image.width}"
        raise ValueError(f"pad: the picture is {size}, more than {height}x{width}; resize it first")
    canvas = Image.new(image.mode, (width, height), (fill,) * len(image.getbands()))
    canvas.paste(image, ((width - image.width) // 2, (height - image.height) // 2))
    return canvas


def _center_cropped(image: Image.Image, size: Sequence[int]) -> Image.Image:
    height, width = size
    if image.height < height or image.width < width:
        found = f"{image.height}x{image.width}"
        raise ValueError(f"center_crop: the picture is {found}, less than {height}x{width}; resize it first")
    top, left = round((image.height - height) / 2), round((image.width - width) / 2)
    return image.crop((left, top, left + width, top + height))


def numeric(pixels: np.ndarray, steps: Steps) -> np.ndarray:
    """float32 [n, channels, height, width], C-contiguous, from uint8 [n, height, width, channels].

    Every operation is in float32 and in this order, `(pixels / scale - mean) / std`, so that the same three
    nodes in a graph give the same bits.
    """
    values = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)).astype(np.float32)
    for item in steps:
        ((name, value),) = item.items()
        if name == "scale":
            values /= np.float32(value)
        elif name in ("mean", "std"):
            if len(value) != values.shape[1]:
                raise ValueError(f"{name}: has {len(value)} numbers for {values.shape[1]} channels; give one each")
            numbers = np.asarray(value, dtype=np.float32)[None, :, None, None]
            (np.subtract if name == "mean" else np.divide)(values, numbers, out=values)
    return values


def prepare(image: Image.Image, steps: Steps) -> np.ndarray:
    """float32 [channels, height, width]: one picture as the network takes it."""
    return np.asarray(numeric(geometric(image, steps)[None], steps)[0])


# --- the bundle ------------------------------------------------------------------------------------------------------

SCHEMA = "compress.bundle/1"
MANIFEST, MODEL, SAMPLES, RUNNER = "bundle.json", "model.onnx", "samples.npz", "run.py"
BESIDE = (RUNNER, "runner")  # may lie in a bundle's folder without being listed
GRAPHS = (MODEL, "encoder.onnx", "decoder.onnx")
LISTED = frozenset({
    *GRAPHS, SAMPLES, "README.md", "model.sig", "model.cdx.json", *(f"{name}.sealed" for name in (*GRAPHS, SAMPLES)),
})  # fmt: skip
TOKENIZER_FILES = frozenset({
    "vocab.txt", "vocab.json", "merges.txt", "added_tokens.json", "special_tokens_map.json", "tokenizer.json",
    "tokenizer.model", "tokenizer_config.json", "sentencepiece.bpe.model", "spiece.model",
})  # fmt: skip
LARGEST_MANIFEST = 4 * 2**20
LARGEST_FILE = 2 * 2**30
LARGEST_SAMPLES = 2**30  # unpacked
NOT_A_BUNDLE, ALTERED, RESOURCES = 2, 4, 7


class Refused(Exception):  # the sentence a person reads, not a fault of the code
    """What the person is told in one line, and the exit code: 2 for a wrong request, 4 for an altered bundle,
    7 for want of memory.

    place: the file it is about. problem: what is wrong with it. todo: what to do.
    """

    def __init__(self, code: int, place: str, problem: str, todo: str) -> None:
        self.code, self.place, self.problem, self.todo = code, place, problem, todo
        super().__init__(f"{place}: {problem}; {todo}")


def altered(place: str, problem: str) -> Refused:
    """The bundle is not what was written."""
    return Refused(ALTERED, place, problem, "get a fresh copy of the bundle")


def canonical_json(value: Any) -> bytes:
    """The one spelling of a value: keys sorted, no spaces, ASCII, no NaN. Digests are made of it."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return text.encode("ascii")


def manifest_digest(facts: Mapping[str, Any]) -> str:
    """SHA-256 of bundle.json's canonical JSON without its `digest`."""
    return hashlib.sha256(canonical_json({key: value for key, value in facts.items() if key != "digest"})).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        for block in iter(lambda: stream.read(2**20), b""):
            digest.update(block)
    return digest.hexdigest()


def kind_of(path: Path) -> str:
    """`file`, or what else stands there: `missing`, `a link`, `a folder`, `no plain file`. Nothing is opened."""
    try:
        mode = os.lstat(path).st_mode
    except (OSError, ValueError):
        return "missing"
    if stat.S_ISREG(mode):
        return "file"
    return "a link" if stat.S_ISLNK(mode) else "a folder" if stat.S_ISDIR(mode) else "no plain file"


def read_manifest(folder: Path) -> dict[str, Any]:
    """bundle.json, with its own digest checked. Refused where there is none (2), or it was altered (4)."""
    path = folder / MANIFEST
    kind = kind_of(path)
    if kind == "missing":
        raise Refused(NOT_A_BUNDLE, str(folder), f"holds no {MANIFEST}, so it is no bundle", "name the bundle's folder")
    if kind != "file":
        raise altered(str(path), f"is {kind}, not a file")
    if path.stat().st_size > LARGEST_MANIFEST:
        raise altered(str(path), f"is larger than {LARGEST_MANIFEST:,} bytes")
    try:
        facts = json.loads(path.read_bytes().decode("utf-8"), parse_constant=_no_constant, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise altered(str(path), f"is not JSON ({error})") from None
    if not isinstance(facts, dict) or not isinstance(facts.get("schema"), str):
        raise altered(str(path), "is no bundle's description")
    if facts["schema"] != SCHEMA:
        problem = f"is a {facts['schema'][:80]!r}, not {SCHEMA!r}"
        raise Refused(NOT_A_BUNDLE, str(path), problem, "use the runner of its version")
    try:
        digest = manifest_digest(facts)
    except (ValueError, RecursionError):
        digest = ""
    if facts.get("digest") != digest:
        raise altered(str(path), "does not have the digest that it names")
    return facts


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) < len(pairs):
        raise ValueError("a key stands there twice")
    return dict(pairs)


def check_names(folder: Path, facts: Mapping[str, Any]) -> None:
    """Only files of a bundle are listed. Refused (4) names the first other one."""
    files = facts.get("files")
    wanted = {MODEL, SAMPLES} if has_samples(facts) else {MODEL}
    if not isinstance(files, dict) or not wanted <= set(files):
        raise altered(str(folder / MANIFEST), f"does not list {' and '.join(sorted(wanted))}")
    if SAMPLES not in wanted and SAMPLES in files:
        raise altered(str(folder / MANIFEST), f"lists {SAMPLES} and says that golden samples were left out")
    # Copies made by earlier versions list run.py, which is compared with its digest like the others.
    known = LISTED | (TOKENIZER_FILES & set(_strings(facts.get("tokenizer")))) | {RUNNER}
    for name, entry in files.items():
        if name not in known or not isinstance(entry, dict):
            raise altered(str(folder / MANIFEST), f"lists {name[:80]!r}, which is no file of a bundle")


def has_samples(facts: Mapping[str, Any]) -> bool:
    """Whether golden samples are in the bundle; `samples: false` in a pipeline leaves them out."""
    return facts.get("samples") is not False


def _strings(value: Any) -> list[str]:
    """All strings in a JSON value, the keys of objects included."""
    if isinstance(value, dict):
        return _strings([*value.keys(), *value.values()])
    if isinstance(value, list):
        return [found for one in value for found in _strings(one)]
    return [value] if isinstance(value, str) else []


def check_files(folder: Path, facts: Mapping[str, Any]) -> None:
    """Compare each listed file with its size and digest, graphs with their limits. Refused (4) names the first."""
    check_names(folder, facts)
    for name, entry in facts["files"].items():
        path = folder / name
        kind = kind_of(path)
        if kind != "file":
            raise altered(str(path), "is missing" if kind == "missing" else f"is {kind}, not a file")
        size = path.stat().st_size
        if size != entry.get("bytes") or size > LARGEST_FILE:
            raise altered(str(path), f"has {size:,} bytes and not the {entry.get('bytes')} that {MANIFEST} names")
        if file_digest(path) != entry.get("sha256"):
            raise altered(str(path), f"does not have the digest that {MANIFEST} names")
        if name in GRAPHS:
            try:
                check_graph(path)
            except ValueError as error:
                raise altered(str(path), str(error)) from None


# --- what a graph may be ---------------------------------------------------------------------------------------------

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

    def call(self, name: "tuple[str, str, str]", depth: int) -> None:
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

    def _total(self, part: _Part, trail: "tuple[tuple[str, str, str], ...]") -> "tuple[int, int]":
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
        if _product(dims) > LARGEST_FILE // 8:
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
        wanted = _product(dims)
        held = typed * max(1, 8 // (BITS[kind] or 8))
        if wanted > held if raw is None else wanted * BITS[kind] > raw * 8:
            raise ValueError(f"has a tensor of {dims[:8]} without the numbers for it")

    def _outside(self, place: str) -> None:
        if not self._external:
            raise ValueError("keeps weights in another file")
        parts = place.replace("\\", "/").split("/")
        if not place or place.startswith(("/", "\\")) or ".." in parts or ":" in place or "\0" in place:
            raise ValueError(f"keeps weights outside of its folder ({place[:80]!r})")

    def _entry(self, value: "int | memoryview") -> "tuple[str, str]":
        words = {1: "", 2: ""}
        for field, text in self._fields(self._bytes(value)):
            if field in words:
                words[field] = self._text(text)
        return words[1], words[2]

    def _numbers(self, value: "int | memoryview") -> "list[int]":
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

    def _text(self, value: "int | memoryview") -> str:
        self._counted(value)
        return bytes(self._bytes(value)).decode("utf-8", errors="replace")

    def _bytes(self, value: "int | memoryview") -> memoryview:
        if isinstance(value, int):
            raise ValueError("is no ONNX file (a field is of another kind)")
        return value

    def _counted(self, value: "int | memoryview") -> None:
        self._structure += 8 if isinstance(value, int) else len(value)
        if self._structure > LARGEST_STRUCTURE:
            raise ValueError(f"has more than {LARGEST_STRUCTURE:,} bytes of names and attributes")

    def _fields(self, data: memoryview) -> "Iterator[tuple[int, int | memoryview]]":
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


def _varint(data: memoryview, place: int) -> "tuple[int, int]":
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


def _product(sizes: "Sequence[int]") -> int:
    product = 1
    for size in sizes:
        product = min(product * size, 2**62) if size else 0
    return product


# --- the network -----------------------------------------------------------------------------------------------------


def probabilities(outputs: np.ndarray, in_graph: Collection["str | None"]) -> np.ndarray:
    """float64 [n, classes] from a graph's outputs [n, classes]. in_graph: what the graph does itself.

    >>> probabilities(np.array([[0.2, 0.7]]), ["sigmoid"]).tolist()
    [[0.2, 0.7]]
    >>> probabilities(np.log([[0.25, 0.75]]), []).round(6).tolist()
    [[0.25, 0.75]]
    """
    values = np.asarray(outputs, dtype=np.float64)
    if "softmax" in in_graph or "sigmoid" in in_graph:
        return values
    if "log_sigmoid" in in_graph:
        return np.asarray(np.exp(values))
    # Of a log-softmax the softmax is the exponential.
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


class Model:
    """A bundle's network in onnxruntime, with the preprocessing and the answers that travel with it."""

    def __init__(self, folder: Path, facts: Mapping[str, Any], threads: int = 1) -> None:
        self.facts = facts
        self.source = facts["inputs"][0]
        self.in_graph = frozenset(facts.get("in_graph", ()))
        self.session = open_session(folder / MODEL, threads, facts)
        first = self.source["shape"][0]
        self.fixed_batch = first if isinstance(first, int) else None

    def prepare(self, image: Image.Image) -> np.ndarray:
        """One picture as the network's input takes it, without the batch: uint8 pixels or float32 numbers.

        ValueError where the picture does not fit the preprocessing or the network.
        """
        pixels = geometric(image, self.facts["preprocess"])
        sample: np.ndarray
        if self.source["dtype"] != "uint8":
            sample = numeric(pixels[None], self.facts["preprocess"])[0]
        else:
            sample = pixels if self.source["layout"] == "NHWC" else np.ascontiguousarray(pixels.transpose(2, 0, 1))
        wanted = tuple(self.source["shape"][1:])
        if sample.shape != wanted:
            raise ValueError(f"becomes {list(sample.shape)}, but the network takes {list(wanted)}")
        return sample

    def outputs(self, inputs: np.ndarray) -> np.ndarray:
        """float32 [n, …] for inputs [n, …] as `prepare` makes them. A fixed batch is filled with zeros."""
        size = self.fixed_batch or 32
        parts = []
        for start in range(0, len(inputs), size):
            part = inputs[start : start + size]
            count = len(part)
            if self.fixed_batch and count < size:
                part = np.concatenate([part, np.zeros((size - count, *part.shape[1:]), part.dtype)])
            parts.append(self.run(part)[:count])
        return np.concatenate(parts)

    def run(self, feed: np.ndarray) -> np.ndarray:
        """The first output for one batch; Refused (4) where onnxruntime cannot run the graph."""
        try:
            return self.session.run(None, {self.source["name"]: feed})[0]
        except Exception as error:  # onnxruntime has a dozen exception types without a common one
            if short_of_memory(error):
                raise
            raise altered(MODEL, f"onnxruntime cannot run it ({str(error).strip()[:200]!r})") from None

    def probabilities(self, outputs: np.ndarray) -> np.ndarray:
        """float64 [n, classes], from outputs [n, classes]; they sum to one unless the graph ends in a sigmoid."""
        return probabilities(outputs, self.in_graph)

    def answers(self, images: Sequence[Image.Image]) -> list[dict[str, Any]]:
        """For each picture `{"answer": class, "index": its number, "probability": of 0 to 1}`."""
        shares = self.probabilities(self.outputs(np.stack([self.prepare(image) for image in images])))
        best = shares.argmax(axis=1)
        return [
            {"answer": self.facts["answers"][index], "index": int(index), "probability": float(share[index])}
            for index, share in zip(best, shares)  # noqa: B905  # strict= came with Python 3.10
        ]


def _half_loaded(error: ImportError) -> bool:
    """Whether onnxruntime is there, and the addresses that this process may have do not suffice to load it."""
    missing = isinstance(error, ModuleNotFoundError) and error.name == "onnxruntime"
    return short_of_memory(error) or (_address_limit() is not None and not missing)


def open_session(path: Path, threads: int, facts: Mapping[str, Any]) -> Any:
    """The model in onnxruntime on this CPU; Refused where onnxruntime is missing or cannot read it."""
    try:
        import onnxruntime
    except ImportError as error:
        if _half_loaded(error):
            raise MemoryError(first_line(error)) from error
        raise Refused(2, "onnxruntime", "is not installed", "run `pip install onnxruntime`") from None
    if _address_limit() is not None:  # onnxruntime waits for ever for threads that it could not start
        mmap.mmap(-1, (threads + 1) * 10 * 2**20).close()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    options.log_severity_level = 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has a dozen exception types without a common one
        if short_of_memory(error):
            raise
        reason = str(error).strip().splitlines()[0][:200]
        known = facts.get("onnxruntime", {})
        problem = f"onnxruntime {onnxruntime.__version__} cannot read it ({reason})"
        todo = f"use onnxruntime {known.get('oldest') or known.get('made_with')} or newer"
        raise Refused(ALTERED, str(path), problem, todo) from None


# --- golden samples --------------------------------------------------------------------------------------------------


def load_samples(path: Path) -> dict[str, Any]:
    """samples.npz, with `encoded` a list of bytes and the tolerances as floats; Refused (4) where it is odd."""
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > LARGEST_SAMPLES:
                raise ValueError(f"unpacks to more than {LARGEST_SAMPLES:,} bytes")
            for entry in archive.infolist():
                with archive.open(entry) as stream:
                    _check_array(entry, stream)
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        count = len(arrays["index"])
        encoded = [arrays[f"encoded_{place}"] for place in range(count)]
        if count == 0 or any(array.dtype != np.uint8 or array.ndim != 1 for array in encoded):
            raise ValueError("holds no pictures")
        if len(arrays["input"]) != count or len(arrays["output"]) != count or len(arrays["target"]) != count:
            raise ValueError("its arrays do not have equal lengths")
        return {
            **{name: arrays[name] for name in ("input", "output", "target", "index")},
            **{name: float(arrays[name]) for name in ("tolerance", "input_tolerance")},
            "median_tolerance": float(arrays.get("median_tolerance", arrays["tolerance"])),
            "encoded": [array.tobytes() for array in encoded],
        }
    except Exception as error:  # a damaged zip or npy file raises almost anything
        if short_of_memory(error):
            raise
        reason = f"has no array {error}" if isinstance(error, KeyError) else f"cannot be read ({error})"
        raise altered(str(path), reason) from None


def _check_array(entry: zipfile.ZipInfo, stream: Any) -> None:
    """Refuse an array that says it is larger than it is, before memory is taken for it."""
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(stream)
    if _product(shape) * dtype.itemsize > entry.file_size:
        raise ValueError(f"{entry.filename} says that it is larger than it is")


def check_samples(model: Model, samples: Mapping[str, Any], place: str) -> dict[str, Any]:
    """Do each golden sample again: picture to input, stored input to output. Refused (4) names the first that differs.

    Returns `{"samples": n, "input_difference": x, "output_difference": y, "tolerance": z}`, the largest differences
    found, and the largest of an output that another CPU may show.
    """
    worst, moved = {"input": 0.0, "output": 0.0}, []
    outputs = model.outputs(samples["input"]) if _fits(model, samples["input"]) else None
    if outputs is None or outputs.shape != samples["output"].shape:
        raise altered(place, "its arrays do not have the shapes of the model's input and output")
    for number, encoded in enumerate(samples["encoded"]):
        try:
            again = model.prepare(decode(encoded, SAMPLE_FORMATS))
        except ValueError as error:
            raise altered(place, f"sample {number} {error}") from None
        for name, found in (("input", again), ("output", outputs[number])):
            difference = _difference(found, samples[name][number])
            limit = samples["input_tolerance" if name == "input" else "tolerance"]
            if not difference <= limit:
                allowed = f"and {limit:.3g} is the most that another device explains"
                raise altered(place, f"the {name} of sample {number} differs by {difference:.3g}, {allowed}")
            worst[name] = max(worst[name], difference)
        moved.append(difference)
    if not float(np.median(moved)) <= samples["median_tolerance"]:
        allowed = f"and {samples['median_tolerance']:.3g} is the most that another device explains"
        raise altered(place, f"half of the outputs differ by {float(np.median(moved)):.3g} or more, {allowed}")
    differences = {"input_difference": worst["input"], "output_difference": worst["output"]}
    return {"samples": len(outputs), **differences, "tolerance": samples["tolerance"]}


def reproduced(facts: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """What `check_samples` found, in words; where answers are not the same bits, why another CPU may give them."""
    if not found["samples"]:
        return "the graph runs in onnxruntime"
    text = f"{found['samples']} golden samples reproduced (largest difference {found['output_difference']:.3g})"
    doubts = (facts.get("bits") or {}).get("because")
    if not doubts or not found["output_difference"]:
        return text
    shown = ", ".join(doubts[:4]) + (f" and {len(doubts) - 4} more" if len(doubts) > 4 else "")
    limit = f"at most {found['tolerance']:.3g} by how CPUs differ in {shown}"
    return f"{text}: not the same bits as where it was made, which is allowed, {limit}"


def inputs_of(folder: Path, facts: Mapping[str, Any]) -> np.ndarray:
    """[n, …], what the network gets of the golden samples; of noise where they were left out."""
    if has_samples(facts):
        return np.asarray(load_samples(folder / SAMPLES)["input"])
    source = facts["inputs"][0]
    shape = [1, *source["shape"][1:]]
    if source["dtype"] == "uint8":
        return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    pixels = np.random.default_rng(0).integers(0, 256, [shape[0], *shape[2:], shape[1]], dtype=np.uint8)
    return numeric(pixels, facts["preprocess"])


def _fits(model: Model, inputs: np.ndarray) -> bool:
    return inputs.dtype.name == model.source["dtype"] and inputs.shape[1:] == tuple(model.source["shape"][1:])


def _difference(found: np.ndarray, wanted: np.ndarray) -> float:
    """The largest difference; NaN, which no limit allows, where one of the two is not finite."""
    if found.shape != wanted.shape or not (np.isfinite(found).all() and np.isfinite(wanted).all()):
        return float("nan")
    return float(np.abs(found.astype(np.float64) - wanted.astype(np.float64)).max(initial=0.0))


# --- a process of its own for graphs from elsewhere ------------------------------------------------------------------


class Limits(NamedTuple):
    """seconds: for one answer. memory_mb: MB of memory in use, the runtime's own 60 included."""

    seconds: int = 120
    memory_mb: int = 4096


HELP_SECONDS = "seconds that the graph may take for one answer"
HELP_MEMORY = "MB of memory that the graph may take"
KEPT = (
    "PATH", "HOME", "USERPROFILE", "APPDATA", "LANG", "TZ", "TMPDIR", "TEMP", "TMP", "SYSTEMROOT", "WINDIR", "PATHEXT",
    "VIRTUAL_ENV", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME", "PYTHONUSERBASE",
    "PYTHONNOUSERSITE", "PYTHONDONTWRITEBYTECODE",
)  # fmt: skip
"""What such a process sees of the environment: what Python and its packages are found by, and no more."""
ADDRESSES_MB = 1024  # address space that is taken without being used: arenas, stacks
LARGEST_ANSWER = 2**28
INSIDE = "--inside"
Answer = "tuple[dict[str, Any], np.ndarray | None]"


def bare_environment() -> "dict[str, str]":
    """The environment without what a graph's process has no use for, keys and tokens above all."""
    kept = {
        name: value for name, value in os.environ.items() if name in KEPT or name.startswith(("LC_", "OMP_", "ORT_"))
    }
    return {**kept, "OPENBLAS_NUM_THREADS": "1", "PYTHONSAFEPATH": "1"}


class Watch:
    """Ends a process that takes more memory, or longer for an answer, than it may.

    over: which, in words. full: whether the process had hardly any address left of those that it may have.
    """

    def __init__(self, process: Any, limits: Limits) -> None:
        self._process, self._limits, self._seconds = process, limits, 0
        self._deadline = float("inf")
        self.over, self.full = "", False
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def begin(self, more: float = 0) -> None:
        """An answer is asked for now. more: seconds that it may take beyond the usual."""
        self._seconds = self._limits.seconds + round(more)
        self._deadline = time.monotonic() + self._seconds

    def rest(self) -> None:
        """Nothing is asked for now."""
        self._deadline = float("inf")

    def stop(self) -> None:
        """Look no more."""
        self._end.set()
        self._thread.join()

    def _look(self) -> None:
        pause = 0.01 if sys.platform == "linux" else 0.25
        while not self._end.wait(pause) and self._process.poll() is None:
            if resident_bytes(self._process.pid) > self._limits.memory_mb * 10**6:
                self.over = f"takes more than {self._limits.memory_mb:,} MB of memory"
            elif time.monotonic() > self._deadline:
                self.over = f"does not answer within {self._seconds:,} seconds"
            if self.over:
                limit = _address_limit()
                self.full = limit is not None and address_bytes(self._process.pid) > 0.8 * limit
                self._process.kill()
                return


def resident_bytes(process: int) -> int:
    """Bytes of memory that a process has in use; 0 where that is not known."""
    try:
        if sys.platform == "linux":
            return int(_text(f"/proc/{process}/statm").split()[1]) * os.sysconf("SC_PAGE_SIZE")
        if os.name == "posix":
            told = subprocess.run(["ps", "-o", "rss=", "-p", str(process)], capture_output=True, check=False)
            return int(told.stdout) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return 0


def address_bytes(process: int) -> int:
    """Bytes of addresses that a process has taken; 0 where that is not known."""
    told = _text(f"/proc/{process}/statm").split()
    return int(told[0]) * os.sysconf("SC_PAGE_SIZE") if told else 0


class Child:
    """A process that loads and runs graphs from elsewhere, and may be ended at any time without harm.

    command: starts `serve`. None forks this process where that is safe. place: the file in question. code: the exit
    code of what it does wrong, 4 for a bundle's file, 2 for one that is given. Ended with its parent.
    """

    def __init__(
        self, command: "Sequence[str] | None", limits: Limits, place: str, code: int,
        environment: "Mapping[str, str] | None" = None,
    ) -> None:  # fmt: skip
        self._limits, self._place, self._code = limits, place, code
        self._log = _scratch()
        words = [str(os.getpid()), str(limits.memory_mb)]
        try:
            if command is None:
                self._process: Any = _Forked(self._log, words)
            else:
                self._process = subprocess.Popen(
                    [*command, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log,
                    env={**bare_environment(), **(environment or {})},
                )  # fmt: skip
            self._watch = Watch(self._process, limits)
        except BaseException:
            self._log.close()
            raise

    def __enter__(self) -> "Child":
        try:
            ready = _receive(self._process.stdout)
            if ready is None:
                raise self._death()
            if "short" in ready[0]:
                raise self._short(ready[0]["short"])
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *problem: object) -> None:
        self._process.kill()
        self._process.wait()
        self._watch.stop()
        for stream in (self._process.stdin, self._process.stdout, self._log):
            with contextlib.suppress(OSError):
                stream.close()

    def ask(self, request: Mapping[str, Any], array: "np.ndarray | None" = None, more: float = 0) -> Answer:
        """What the process answers; Refused where it refuses, takes too much, or dies.

        more: seconds that it may take beyond the usual, since the graph answers several times in between.
        """
        self._watch.begin(more)
        try:
            _send(self._process.stdin, request, array)
            told = _receive(self._process.stdout)
        except OSError:
            told = None
        finally:
            self._watch.rest()
        if told is None:
            raise self._death()
        if "refused" in told[0]:
            raise Refused(*told[0]["refused"])
        if "short" in told[0]:
            raise self._short(told[0]["short"])
        return told

    def _death(self) -> Exception:
        end = self._process.wait()
        self._watch.stop()
        self._log.seek(0)
        lines = self._log.read()[-4000:].decode("utf-8", errors="replace").strip().splitlines()
        if self._watch.over:
            return short_of(self._place, self._watch.over) if self._watch.full else self._over(self._watch.over)
        if any(is_shortage(line) for line in lines):
            return self._short(next(line for line in lines if is_shortage(line)))
        if end == -9:
            return short_of(self._place, "the system ended the process that ran it, most often for want of memory")
        if end < 0:
            name = signal.Signals(-end).name
            if self._limited():
                return short_of(self._place, f"the process that ran it died by {name}")
            return Refused(self._code, self._place, f"onnxruntime dies of it ({name})", self._todo())
        return RuntimeError(f"the process that runs a graph ended with {end}: {lines[-1:] or 'no words'}")

    def _over(self, problem: str) -> Refused:
        option = "--max-memory-mb" if "memory" in problem else "--max-seconds"
        return Refused(self._code, self._place, problem, f"allow more with {option} if you trust it")

    def _short(self, told: str) -> Refused:
        if self._limited():
            return short_of(self._place, told)
        return self._over(f"wants more than {self._limits.memory_mb:,} MB of memory")

    def _limited(self) -> bool:
        """Whether addresses are limited from outside, and more than by `--max-memory-mb`."""
        outside = _address_limit()
        return outside is not None and outside < self._limits.memory_mb * 10**6 + ADDRESSES_MB * 2**20

    def _todo(self) -> str:
        return "get a fresh copy of the bundle" if self._code == ALTERED else "give another file"


def _scratch() -> Any:
    """A file for what libraries say; nowhere where no temporary file can be made."""
    try:
        return tempfile.TemporaryFile()  # closed with the process
    except OSError:
        return open(os.devnull, "w+b")


class _Forked:
    """This process once more, as `subprocess.Popen` shows a process. An emulator goes along with it."""

    def __init__(self, log: Any, words: "Sequence[str]") -> None:
        questions, answers = os.pipe(), os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid, self.returncode, self._lock = os.fork(), None, threading.Lock()  # type: ignore[attr-defined]
        if self.pid == 0:
            end = 1
            try:
                os.close(questions[1])
                os.close(answers[0])
                kept = bare_environment()
                os.environ.clear()
                os.environ.update(kept)
                os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
                os.dup2(log.fileno(), 1)
                os.dup2(log.fileno(), 2)
                end = serve(HANDLERS, words, os.fdopen(questions[0], "rb"), os.fdopen(answers[1], "wb"))
            except BaseException as error:
                os.write(2, f"{type(error).__name__}: {error}\n".encode(errors="replace"))
            finally:
                os._exit(end)
        os.close(questions[0])
        os.close(answers[1])
        self.stdin, self.stdout = os.fdopen(questions[1], "wb"), os.fdopen(answers[0], "rb")

    def poll(self) -> "int | None":
        with self._lock:
            if self.returncode is None:
                process, status = os.waitpid(self.pid, os.WNOHANG)  # type: ignore[attr-defined]
                if process:
                    killed = os.WIFSIGNALED(status)  # type: ignore[attr-defined]
                    self.returncode = -os.WTERMSIG(status) if killed else os.WEXITSTATUS(status)  # type: ignore
        return self.returncode

    def wait(self) -> int:
        while self.poll() is None:
            time.sleep(0.002)
        return self.returncode  # type: ignore[return-value]

    def kill(self) -> None:
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)


def serve(handlers: "Mapping[str, Any]", words: "Sequence[str]", questions: Any = None, answers: Any = None) -> int:
    """Answer requests until there are no more. handlers: what may be asked for: (request, array) -> (answer, array).

    words: the parent's process id, and the MB of memory that may be taken. questions, answers: binary streams;
    standard input and output where they are left out, and what libraries print then goes to standard error.
    """
    _end_with(int(words[0]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if questions is None:
        questions, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
        os.dup2(2, 1)
    ready: dict[str, Any] = {}
    try:
        import onnxruntime  # noqa: F401  # what it takes is not the graph's
    except ImportError as error:
        if _half_loaded(error):
            ready = {"short": first_line(error)}
    _bound(int(words[1]))
    _send(answers, ready, None)
    while True:
        asked = _receive(questions)
        if asked is None:
            return 0
        request, array = asked
        try:
            told, found = handlers[request["do"]](request, array)
            if found is not None and found.nbytes > LARGEST_ANSWER:
                raise MemoryError(f"an answer of {found.nbytes:,} bytes")
        except Refused as refused:
            told, found = {"refused": [refused.code, refused.place, refused.problem, refused.todo]}, None
        except Exception as error:
            if not short_of_memory(error):
                raise
            told, found = {"short": first_line(error)}, None
        _send(answers, told, found)


def _end_with(parent: int) -> None:
    """End this process when its parent does."""
    if sys.platform == "linux":
        with contextlib.suppress(Exception):  # no ctypes, or an emulator without this call
            import ctypes

            ctypes.CDLL(None).prctl(1, int(signal.SIGKILL))
    if os.name == "posix":
        if os.getppid() != parent:
            os._exit(1)

        def look() -> None:
            while os.getppid() == parent:
                time.sleep(1)
            os._exit(1)

        threading.Thread(target=look, daemon=True).start()


def _bound(memory_mb: int) -> None:
    """No dump of a crash, and no single allocation far beyond what may be taken."""
    if sys.platform != "linux":
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    taken = int(_text("/proc/self/statm").split()[0]) * os.sysconf("SC_PAGE_SIZE")
    wanted, (_, most) = taken + memory_mb * 10**6 + ADDRESSES_MB * 2**20, resource.getrlimit(resource.RLIMIT_AS)
    outside = _address_limit()
    if outside is None or wanted < outside:
        resource.setrlimit(resource.RLIMIT_AS, (wanted, most))


def _address_limit() -> "int | None":
    """Bytes of addresses that this process may have (`ulimit -v`); None where nobody limits them."""
    if resource is None:
        return None
    found = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if found == resource.RLIM_INFINITY else found


def _send(stream: Any, told: Mapping[str, Any], array: "np.ndarray | None") -> None:
    packed = io.BytesIO()
    if array is not None:
        np.save(packed, array, allow_pickle=False)
    head, body = json.dumps(told).encode(), packed.getbuffer()
    stream.write(struct.pack("<QQ", len(head), len(body)))
    stream.write(head)
    stream.write(body)
    stream.flush()


def _receive(stream: Any) -> "Answer | None":
    """What the other side sent; None where it is gone."""
    sizes = stream.read(16)
    if len(sizes) < 16:
        return None
    head, body = struct.unpack("<QQ", sizes)
    told, packed = stream.read(head), stream.read(body)
    if len(told) < head or len(packed) < body:
        return None
    return json.loads(told), np.load(io.BytesIO(packed), allow_pickle=False) if packed else None


def check_apart(folder: Path, threads: int, limits: Limits) -> "dict[str, Any]":
    """`check_samples` in a process of its own; where golden samples were left out, noise is answered."""
    again = [sys.executable, str(Path(__file__).resolve()), INSIDE]
    command = None if __name__ == "__main__" and sys.platform == "linux" else again
    with Child(command, limits, str(folder / MODEL), ALTERED) as child:
        return child.ask({"do": "check", "bundle": str(folder), "threads": threads})[0]


def _check_here(request: Mapping[str, Any], _: "np.ndarray | None") -> Answer:
    folder = Path(request["bundle"])
    facts = read_manifest(folder)
    with understood(folder):
        model = Model(folder, facts, request["threads"])
        if not has_samples(facts):
            model.outputs(inputs_of(folder, facts))
            return {"samples": 0}, None
        return check_samples(model, load_samples(folder / SAMPLES), str(folder / SAMPLES)), None


HANDLERS = {"check": _check_here}


@contextlib.contextmanager
def understood(folder: Path) -> "Iterator[None]":
    """The digest only says that bundle.json is whole, not that its author knew the schema: Refused (4) where not."""
    try:
        yield
    except (KeyError, TypeError, IndexError, AttributeError, ValueError) as error:
        if short_of_memory(error):
            raise
        raise Refused(ALTERED, str(folder / MANIFEST), f"is no {SCHEMA} ({error!r})", "make the bundle again") from None


# --- memory that does not suffice ------------------------------------------------------------------------------------

SHORTAGES = (
    "out of memory", "allocate memory", "not enough memory", "unable to allocate", "bad_alloc", "bad allocation",
    "memory allocation", "could not allocate", "failed to allocate", "defaultcpuallocator", "start new thread",
    "pthread_create", "resource temporarily unavailable", "static tls", "failed to map segment", "memoryerror",
    "returned null without setting an exception",
)  # fmt: skip
"""What libraries say, each in its own words, when memory, addresses or threads run out."""


_NAMES = re.compile(
    r"""\bName:\s*'[^']*'|\bmodel from .* failed:"""
    r"""|(?<!\w)(?P<quote>['"`])(?!std::bad_alloc\b)(?:(?!(?P=quote)).)*(?P=quote)(?!\w)"""
)
"""Where libraries repeat a foreign name: what stands in quotes, and the file that onnxruntime was given."""
_SHORT = frozenset({errno.ENOMEM, errno.EAGAIN})
_WITHOUT_A_TYPE = ("RuntimeError", "OutOfMemoryError", "AcceleratorError", "SystemError", "SafetensorError")
_OF_ONNXRUNTIME = ("Fail", "RuntimeException", "EPFail")


def is_shortage(words: str) -> bool:
    """Whether a library's words, without the names that it repeats, are about memory, addresses or threads that ran
    out."""
    said = _NAMES.sub("", words).lower()
    return any(one in said for one in SHORTAGES) and "not permitted" not in said


def is_short(error: BaseException) -> bool:
    """Whether an exception is about memory, addresses or threads that ran out: by its type or its number, and by its
    words only where the type says nothing."""
    kind = type(error)
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in _SHORT
    if kind.__module__.startswith("onnxruntime"):
        return kind.__name__ in _OF_ONNXRUNTIME and is_shortage(str(error))
    if kind is ImportError:  # `FILE: what the loader says`
        said = str(error)
        return not said.startswith("cannot import name") and is_shortage(said.rpartition(": ")[2])
    told = kind.__name__ in _WITHOUT_A_TYPE or kind is OSError
    return isinstance(error, MemoryError) or (told and is_shortage(str(error)))


def short_of_memory(error: "BaseException | None") -> bool:
    """Whether an exception, or what led to it, tells of memory, addresses or threads that ran out."""
    seen = 0
    while error is not None and seen < 10:
        if is_short(error):
            return True
        error, seen = error.__cause__ or error.__context__, seen + 1
    return False


def short_of(place: str, told: str) -> Refused:
    """The machine, or a limit on this process, does not suffice."""
    limit = _address_limit()
    known = "" if limit is None else f"; `ulimit -v` allows {limit // 10**6:,} MB of addresses"
    return Refused(RESOURCES, place, f"the memory does not suffice ({told}{known})", "free memory or raise the limit")


def first_line(error: BaseException) -> str:
    """What an error says, in one line that is not too long."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[0][:200]


# --- latency on this device ------------------------------------------------------------------------------------------

PROCESSES = 10
DRIFT = 0.005  # by which a machine's pace moves between processes a moment apart and a repeat later
SHORTEST_ROUND_S = 0.02
LONGEST_WARM_UP_S = 3.0
SAMPLES_NEEDED = {90: 100, 95: 200, 99: 1000}


def bench(
    folder: Path, facts: Mapping[str, Any], threads: Sequence[int], batch: "int | None", rounds: int
) -> dict[str, Any]:
    """`{"machine", "model_sha256", "rows"}`: a row of report.json's `latency` for each number of threads.

    rounds: in all, spread over fresh processes: where a process puts its memory moves its times by more than the
    rounds within it show.
    """
    fixed = Model(folder, facts, 1).fixed_batch
    size = batch or fixed or 1
    if fixed not in (None, size):
        raise Refused(2, "--batch", f"is {size}, but the model was made for {fixed}", "leave it out")
    rows = []
    for count in threads:
        shares = [len(range(place, rounds, PROCESSES)) for place in range(min(PROCESSES, rounds))]
        rows.append(_row([_fresh(folder, count, size, share) for share in shares], count, size))
    return {"machine": machine(), "model_sha256": facts["files"][MODEL]["sha256"], "rows": rows}


def _timed(model: Model, feed: np.ndarray, rounds: int) -> list[np.ndarray]:
    """Milliseconds of each inference, one array a round, after the median has settled."""
    name, session = model.source["name"], model.session

    def times(count: int) -> np.ndarray:
        stamps = [time.perf_counter()]
        for _ in range(count):
            session.run(None, {name: feed})
            stamps.append(time.perf_counter())
        return np.diff(stamps) * 1000

    begin, previous = time.perf_counter(), float(np.median(times(3)))
    while True:
        median = float(np.median(times(max(3, min(100, int(20 / max(previous, 1e-3)))))))
        settled, previous = abs(median - previous) <= 0.05 * previous, median
        if settled or time.perf_counter() - begin > LONGEST_WARM_UP_S:
            break
    repeats = max(5, int(1000 * SHORTEST_ROUND_S / max(previous, 1e-3)) + 1)
    gc.collect()
    gc.disable()
    try:
        return [times(repeats) for _ in range(rounds)]
    finally:
        gc.enable()


def _row(processes: Sequence[Mapping[str, Any]], threads: int, batch: int) -> dict[str, Any]:
    """One row of what each process found, as `probe` gives it."""
    rounds = [np.asarray(times, dtype=float) for one in processes for times in one["rounds_ms"]]
    each = [float(np.median([np.median(times) for times in one["rounds_ms"]])) for one in processes]
    everything = np.concatenate(rounds)
    low, high = median_bounds(sorted(each))
    middle = float(np.median(each))
    tails = {
        f"p{share}_ms": float(np.percentile(everything, share)) if len(everything) >= needed else None
        for share, needed in SAMPLES_NEEDED.items()
    }
    peaks = [one["peak_memory_bytes"] for one in processes if one["peak_memory_bytes"] is not None]
    return {
        "threads": threads, "batch": batch, "p50_ms": middle,
        "low_ms": None if low is None else low * (1 - DRIFT), "high_ms": None if high is None else high * (1 + DRIFT),
        **tails, "samples": len(everything), "rounds": len(rounds), "processes": len(processes),
        "throughput_per_s": batch / (middle / 1000),
        **{name: float(np.median([one[name] for one in processes])) for name in ("load_ms", "first_ms")},
        "peak_memory_bytes": max(peaks, default=None),
    }  # fmt: skip


def median_bounds(ordered: Sequence[float]) -> "tuple[float | None, float | None]":
    """The order statistics that enclose the median with 95 %: of 20 sorted values the 6th and the 15th."""
    n, place, tail = len(ordered), 0, 0.0
    while place < n // 2 and tail + comb(n, place) / 2**n <= 0.025:
        tail += comb(n, place) / 2**n
        place += 1
    return (ordered[place - 1], ordered[n - place]) if place else (None, None)


def _fresh(folder: Path, threads: int, batch: int, rounds: int) -> dict[str, Any]:
    """What `probe` finds in a process of its own; Refused where that ends without an answer."""
    command = [sys.executable, str(Path(__file__).resolve()), "--bundle", str(folder), "--probe", str(os.getpid())]
    command += ["--threads", str(threads), "--batch", str(batch), "--rounds", str(rounds)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode == 0:
        return dict(json.loads(done.stdout))
    said = (done.stderr.strip().splitlines() or ["no words"])[-1].removeprefix(f"{RUNNER}: ")[:300]
    how = f"died by {signal.Signals(-done.returncode).name}" if done.returncode < 0 else f"ended: {said}"
    code = done.returncode if done.returncode in (NOT_A_BUNDLE, ALTERED) else RESOURCES
    todo = "end other programs, and measure again" if code == RESOURCES else "see that `--check` finds it whole"
    raise Refused(code, str(folder), f"a process that was to be timed {how}", todo)


def probe(folder: Path, facts: Mapping[str, Any], threads: int, batch: int, rounds: int) -> dict[str, Any]:
    """What this process pays to load the model and run it once, and milliseconds of each run, an array a round."""
    import onnxruntime  # noqa: F401  # its import is not the model's loading

    samples = inputs_of(folder, facts)
    feed = np.resize(samples, (batch, *samples.shape[1:]))
    begin = time.perf_counter()
    model = Model(folder, facts, threads)
    loaded = time.perf_counter()
    model.run(feed)
    ended = time.perf_counter()
    return {
        "load_ms": (loaded - begin) * 1e3, "first_ms": (ended - loaded) * 1e3, "peak_memory_bytes": _peak_memory(),
        "rounds_ms": [times.round(6).tolist() for times in _timed(model, feed, rounds)],
    }  # fmt: skip


def _peak_memory() -> "int | None":
    line = next((line for line in _text("/proc/self/status").splitlines() if line.startswith("VmHWM:")), "")
    return int(line.split()[1]) * 1024 if line else None


def machine() -> dict[str, Any]:
    """What the rows were measured on, with the keys of report.json's `environment`; null where not known."""
    about = dict(reversed([_pair(line) for line in _text("/proc/cpuinfo").splitlines()]))
    memory = dict(_pair(line) for line in _text("/proc/meminfo").splitlines()).get("MemTotal", "").split()
    units = set((about.get("flags") or about.get("Features") or "").split())
    versions = {"numpy": np.__version__, "pillow": PIL.__version__}
    if "onnxruntime" in sys.modules:
        versions["onnxruntime"] = sys.modules["onnxruntime"].__version__
    return {
        "cpu": about.get("model name") or about.get("Hardware") or platform.processor() or platform.machine(),
        "isa": " ".join([platform.machine(), *(unit for unit in UNITS if unit in units)]),
        "cores": os.cpu_count(),
        "governor": _text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").strip() or None,
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "memory_bytes": int(memory[0]) * 1024 if memory else None,
        "os": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "libraries": versions,
    }


UNITS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8", "asimd", "asimddp", "i8mm", "sve")


def _pair(line: str) -> tuple[str, str]:
    key, _, value = line.partition(":")
    return key.strip(), value.strip()


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


# --- the command line ------------------------------------------------------------------------------------------------


def _number(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        todo = "name pictures before the options"
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number; {todo}") from None
    if not 1 <= value <= 65_536:
        raise argparse.ArgumentTypeError(f"{text} is not between 1 and 65536")
    return value


class _Options(argparse.ArgumentParser):
    def error(self, message: str) -> "NoReturn":
        self.exit(2, f"{self.format_usage()}{self.prog}: error: {printable(message)}\n")

    def print_help(self, file: Any = None) -> None:
        _write(self.format_help(), file)

    def exit(self, status: int = 0, message: "str | None" = None) -> "NoReturn":
        if message:
            _write(message, sys.stderr)
        sys.exit(_ended(status))


def parser() -> argparse.ArgumentParser:
    """The runner's options."""
    here = Path(__file__).resolve().parent
    options = _Options(prog=RUNNER, description="Run a bundle on this device, without torch.")
    add = options.add_argument
    add("pictures", nargs="*", metavar="PICTURE", help="picture files to answer")
    add("--bundle", type=Path, default=here, metavar="DIR", help="the bundle; default: this file's folder")
    add("--check", action="store_true", help="check digests, reproduce golden samples; exit 4 if not, 2 without any")
    add("--bench", action="store_true", help="measure latency here; prints rows for `compress report RUN --add`")
    add("--json", action="store_true", help="answers as JSON")
    add("--threads", type=_number, nargs="+", default=[1], metavar="N", help="threads; --bench takes several numbers")
    add("--batch", type=_number, metavar="N", help="pictures at once, for --bench; default: 1 or the model's own")
    add(
        "--rounds",
        type=_number,
        default=30,
        metavar="N",
        help="rounds of --bench, in ten processes; an interval needs 6",
    )
    usual = Limits()
    add("--max-seconds", type=_number, default=usual.seconds, metavar="N", help=f"for --check: {HELP_SECONDS}")
    add("--max-memory-mb", type=_number, default=usual.memory_mb, metavar="N", help=f"for --check: {HELP_MEMORY}")
    add("--probe", type=int, nargs="?", const=0, metavar="PARENT", help=argparse.SUPPRESS)
    return options


def main(arguments: "Sequence[str] | None" = None) -> int:
    """Do what the command line asks; the exit code: 0, 2 for a wrong request, 4 for an altered bundle."""
    asked = parser().parse_args(arguments)
    try:
        if not (asked.check or asked.bench or asked.probe is not None or asked.pictures):
            raise Refused(2, RUNNER, "nothing to do", "name a picture, or give --check or --bench")
        facts = read_manifest(asked.bundle)
        with understood(asked.bundle):
            check_files(asked.bundle, facts)
            check_preprocess(facts["preprocess"])
            if asked.probe is not None:
                if asked.probe:
                    _end_with(asked.probe)
                _tell_json(probe(asked.bundle, facts, asked.threads[0], asked.batch or 1, asked.rounds))
                return _ended(0)
            if asked.check:
                _tell_check(asked, facts)
            if asked.bench:
                _tell_json(bench(asked.bundle, facts, asked.threads, asked.batch, asked.rounds), indent=1)
                return _ended(0)
            code = _tell_answers(asked, facts) if asked.pictures else 0
            return _ended(code) if asked.pictures or asked.json else code
    except Refused as refused:
        _tell(f"{RUNNER}: {refused}", sys.stderr)
        return refused.code
    except Exception as error:
        if short_of_memory(error):
            refused = short_of(str(asked.bundle), first_line(error))
        elif isinstance(error, OSError):
            place = str(error.filename or asked.bundle)
            problem = f"the system refuses ({error.strerror or first_line(error)})"
            refused = Refused(RESOURCES, place, problem, "see that it is there and may be read")
        else:
            raise
        _tell(f"{RUNNER}: {refused}", sys.stderr)
        return RESOURCES


_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\u3164\ud800-\udfff\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\U000e0000-\U000e0fff]"
)


def printable(text: str) -> str:
    r"""Text on one line, with all that would act on a terminal or cannot be seen as an escape, `\x1b`, `\u202e`."""
    if text.isprintable() and _UNSEEN.search(text) is None:
        return text

    def seen(char: str) -> bool:
        return _UNSEEN.match(char) is None and (char.isprintable() or char.isspace())

    return "".join(char if seen(char) else ascii(char)[1:-1] for char in text)


def _tell(text: str, stream: "TextIO | None" = None) -> None:
    """Print a line, printable."""
    _write(printable(text) + "\n", stream)


def _tell_json(value: Any, indent: "int | None" = None) -> None:
    """Print a value as JSON; what is not ASCII and printable is an escape of JSON's own."""
    _write(json.dumps(value, indent=indent).replace("\x7f", "\\u007f") + "\n")


_lost: "list[OSError]" = []
"""Why standard output took no more; nothing where it did, or where its reader had enough."""


def _write(text: str, stream: "TextIO | None" = None) -> None:
    """Write text; dropped, as all that follows, where a stream takes no more (`run.py --check | head`, a full disk)."""
    stream = stream or sys.stdout
    try:
        stream.write(text)
        stream.flush()
    except OSError as error:
        if stream is sys.stdout and not isinstance(error, BrokenPipeError):
            _lost.append(error)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def _ended(code: int) -> int:
    """The exit code of what is there for its output: 7 where that could not be written."""
    if code or not _lost:
        return code
    reason = (_lost[0].strerror or str(_lost[0])).lower()
    _tell(f"{RUNNER}: standard output: takes nothing ({reason}); send it where there is room for it", sys.stderr)
    return RESOURCES


def _tell_check(asked: argparse.Namespace, facts: Mapping[str, Any]) -> None:
    if not has_samples(facts):
        whole = f"its {len(facts['files'])} files are whole, but golden samples were left out when it was exported"
        todo = "export it with `samples: true`, or give a picture"
        raise Refused(NOT_A_BUNDLE, str(asked.bundle), f"{whole}, so there is nothing to reproduce", todo)
    found = check_apart(asked.bundle, asked.threads[0], Limits(asked.max_seconds, asked.max_memory_mb))
    if asked.json:
        _tell_json({"bundle": facts["name"], "model_sha256": facts["files"][MODEL]["sha256"], **found})
    else:
        what = f"{len(facts['files'])} files are whole, {reproduced(facts, found)}"
        _tell(f"{facts['name'] or 'the bundle'}: {what}")


def _tell_answers(asked: argparse.Namespace, facts: Mapping[str, Any]) -> int:
    """Print an answer a picture; 2 where one of them cannot be read, after all others were answered."""
    model = Model(asked.bundle, facts, asked.threads[0])
    told, code = [], 0
    for name in asked.pictures:
        try:
            (answer,) = model.answers([decode(Path(name).read_bytes())])
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else error
            _tell(f"{RUNNER}: {name}: {reason}", sys.stderr)
            code = 2
            continue
        told.append({"picture": name, **answer})
        if not asked.json:
            _tell(f"{name}: {answer['answer']} {answer['probability']:.1%}")
    if asked.json:
        _tell_json(told, indent=1)
    return code


if __name__ == "__main__":
    if sys.stdout is None:
        _lost.append(OSError(9, "it is closed"))
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  # as long as the process
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    for _stream in (sys.stdout, sys.stderr):
        _stream.reconfigure(errors="replace")  # type: ignore[union-attr]  # a console that cannot show a class's name
    for _asked in (getattr(signal, _word) for _word in ("SIGTERM", "SIGHUP") if hasattr(signal, _word)):
        if sys.argv[1:2] != [INSIDE] and signal.getsignal(_asked) is signal.SIG_DFL:
            signal.signal(_asked, signal.default_int_handler)
    try:
        sys.exit(serve(HANDLERS, sys.argv[2:]) if sys.argv[1:2] == [INSIDE] else main())
    except KeyboardInterrupt:
        _tell(f"{RUNNER}: interrupted; it has written nothing, start it again", sys.stderr)
        sys.exit(130)
