"""Is a bundle what was written, and does it still compute what it computed? Nothing in it is trusted."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compressor.bundle import bundle as bundles
from compressor.bundle.bundle import FRESH_COPY, Bundle
from compressor.bundle.copies import foreign_in_runner
from compressor.device.child import apart
from compressor.device.manifest import MANIFEST, SCHEMA
from compressor.device.refused import ALTERED
from compressor.device.samples import reproduced
from compressor.errors import IntegrityError


@dataclass(frozen=True)
class Check:
    """Something that was looked at and found right, in words."""

    name: str
    found: str


def verify(folder: Path, run: bool = True, limits: tuple[int, int] | None = None) -> list[Check]:
    """Check a bundle in the order of trust: its description, its files, the graph, and (`run`) its golden samples.

    The graph is read and run in a process of its own. limits: the seconds and the MB of memory that it may take.
    Raises:
        InputError: the folder is no bundle. IntegrityError: the first thing that is not as it should be.
        ResourceError: the memory of this machine does not suffice.
    """
    return verify_read(bundles.read(folder), run, limits)


def verify_read(bundle: Bundle, run: bool = True, limits: tuple[int, int] | None = None) -> list[Check]:
    """`verify` of a bundle whose description was read."""
    manifest = bundle.manifest
    checks = [Check("description", f"{MANIFEST}, {SCHEMA}, has the digest that it names")]
    bundles.check_files(bundle)
    checks.append(Check("files", f"{len(manifest.files)} files have their sizes and digests{_beside(bundle)}"))
    with bundles.translated(), apart("compressor.bundle.inside", bundle.model, ALTERED, limits) as child:
        checks.append(Check("model", _check_model(bundle, child)))
        if run:
            checks.append(Check("golden samples", _check_samples(bundle, child)))
    return checks


def _beside(bundle: Bundle) -> str:
    """What lies in the folder without being listed, in words."""
    unlisted = [name for name, _ in bundles.BESIDE if name not in bundle.manifest.files]
    there = [name for name in unlisted if (bundle.folder / name).exists()]
    if not there:
        return ", and no other is there"
    foreign = foreign_in_runner(bundle.folder)
    own = "this version's own"
    whose = own if foreign is None else f"not {own} ({foreign} differs; `compress export` makes a new copy)"
    return f"; {' and '.join(there)} beside them {'are' if len(there) > 1 else 'is'} {whose}"


def _check_model(bundle: Bundle, child: Any) -> str:
    """One self-contained valid ONNX file with the inputs, outputs and versions that bundle.json names."""
    manifest, path = bundle.manifest, str(bundle.model)
    found = child.ask({"do": "describe", "path": path})[0]
    named = {
        "opset": (manifest.opset, found["opset"]),
        "IR version": (manifest.ir_version, found["ir_version"]),
        "inputs": ([_entry(port) for port in manifest.inputs], found["inputs"]),
        "outputs": ([_entry(port) for port in manifest.outputs], found["outputs"]),
    }
    for what, (wanted, has) in named.items():
        if wanted != has:
            raise IntegrityError(path, f"has {what} {has}, and {MANIFEST} names {wanted}", FRESH_COPY)
    return f"valid ONNX, opset {manifest.opset}, IR version {manifest.ir_version}, one file"


def _entry(port: bundles.TensorEntry) -> list[Any]:
    return [port.name, port.dtype, list(port.shape)]


def _check_samples(bundle: Bundle, child: Any) -> str:
    found = child.ask({"do": "check", "bundle": str(bundle.folder), "threads": 1})[0]
    told = reproduced(bundle.manifest.facts(), found)
    if not bundle.manifest.samples:
        return f"left out when it was exported (`samples: false`); {told}"
    return re.sub(" golden samples? reproduced", " reproduced in onnxruntime", told)
