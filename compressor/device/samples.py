"""Golden samples: read without trust, and done again."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .graphs import product
from .manifest import SAMPLES, has_samples
from .memory import short_of_memory
from .pictures import decode
from .predict import Model
from .preprocess import numeric
from .refused import altered

SAMPLE_FORMATS = ("PNG", "JPEG")
LARGEST_SAMPLES = 2**30  # bytes, unpacked


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
    if product(shape) * dtype.itemsize > entry.file_size:
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
    count = f"{found['samples']} golden sample{'s' * (found['samples'] != 1)}"
    text = f"{count} reproduced (largest difference {found['output_difference']:.3g})"
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
