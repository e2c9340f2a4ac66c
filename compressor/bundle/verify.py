"""Is a bundle what was written, and does it still compute what it computed? Nothing in it is trusted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compressor.bundle import bundle as bundles
from compressor.bundle.bundle import FRESH_COPY, SAMPLES, Bundle, Manifest
from compressor.errors import IntegrityError
from compressor.runner import runner, runner_path


@dataclass(frozen=True)
class Check:
    """Something that was looked at and found right, in words."""

    name: str
    found: str


def verify(folder: Path, run: bool = True) -> list[Check]:
    """Check a bundle in the order of trust: its description, its files, the graph, and (`run`) its golden samples.

    Raises:
        InputError: the folder is no bundle. IntegrityError: the first thing that is not as it should be.
    """
    bundle = bundles.read(folder)
    manifest = bundle.manifest
    checks = [Check("description", f"{bundles.MANIFEST}, {bundles.SCHEMA}, has the digest that it names")]
    bundles.check_files(bundle)
    checks.append(Check("files", f"{len(manifest.files)} files have their sizes and digests{_beside(bundle)}"))
    checks.append(Check("model", _check_model(bundle)))
    if run:
        checks.append(Check("golden samples", _check_samples(bundle)))
    return checks


def _beside(bundle: Bundle) -> str:
    """What lies in the folder without being listed, in words."""
    path = bundle.folder / bundles.RUNNER
    if bundles.RUNNER in bundle.manifest.files or not path.exists():
        return ", and no other is there"
    same = runner().file_digest(path) == runner().file_digest(runner_path())
    whose = "this version's own" if same else "not this version's own (`compress export` makes a new copy)"
    return f"; {bundles.RUNNER} beside them is {whose}"


def _check_model(bundle: Bundle) -> str:
    """One self-contained valid ONNX file with the inputs, outputs and versions that bundle.json names."""
    import onnx

    path = str(bundle.model)
    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf's decoder has its own exceptions, by implementation
        raise IntegrityError(path, f"is no ONNX file ({_first_line(error)})", FRESH_COPY) from None
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in _tensors(model.graph)):
        raise IntegrityError(path, "keeps weights in another file", FRESH_COPY)
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise IntegrityError(path, f"is refused by the ONNX checker ({_first_line(error)})", FRESH_COPY) from None
    _compare(bundle.manifest, model, path)
    return f"valid ONNX, opset {bundle.manifest.opset}, IR version {model.ir_version}, one file"


def _compare(manifest: Manifest, model: Any, path: str) -> None:
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), None)
    named = {
        "opset": (manifest.opset, opset),
        "IR version": (manifest.ir_version, model.ir_version),
        "inputs": ([_entry(port) for port in manifest.inputs], [_port(value) for value in model.graph.input]),
        "outputs": ([_entry(port) for port in manifest.outputs], [_port(value) for value in model.graph.output]),
    }
    for what, (wanted, found) in named.items():
        if wanted != found:
            raise IntegrityError(path, f"has {what} {found}, and {bundles.MANIFEST} names {wanted}", FRESH_COPY)


def _entry(port: bundles.TensorEntry) -> tuple[str, str, list[int | str]]:
    return port.name, port.dtype, list(port.shape)


def _port(value: Any) -> tuple[str, str, list[int | str]]:
    from onnx import helper

    tensor = value.type.tensor_type
    shape = [dim.dim_value if dim.HasField("dim_value") else dim.dim_param for dim in tensor.shape.dim]
    return value.name, helper.tensor_dtype_to_np_dtype(tensor.elem_type).name, shape


def _tensors(graph: Any) -> list[Any]:
    """All tensors in a graph and in the graphs inside it."""
    found = list(graph.initializer)
    for node in graph.node:
        for attribute in node.attribute:
            found += [attribute.t, *attribute.tensors]
            for inner in ([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs):
                found += _tensors(inner)
    return found


def _check_samples(bundle: Bundle) -> str:
    path = bundle.folder / SAMPLES
    with bundles.translated():
        facts = bundle.manifest.facts()
        model = runner().Model(bundle.folder, facts)
        found = runner().check_samples(model, runner().load_samples(path), str(path))
    return str(runner().reproduced(facts, found)).replace(" golden samples reproduced", " reproduced in onnxruntime")


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[0][:200]
