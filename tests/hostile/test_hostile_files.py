"""Every kind of file that is read, with hostile bytes: a sentence each, and no exit code 1.

COMPRESS_FUZZ_SEED and COMPRESS_FUZZ_TIMES try others, and more of them.
"""

from __future__ import annotations

import io
import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from compressor.device.graphs import check_graph
from compressor.device.manifest import check_files, manifest_digest, read_manifest, understood
from compressor.device.pictures import decode
from compressor.device.preprocess import prepare
from compressor.device.refused import Refused
from compressor.device.samples import load_samples
from compressor.device.steps import check_preprocess
from compressor.errors import CompressError, Exit, InputError, IntegrityError
from tests.hostile.mutations import changed, variants

SEED = int(os.environ.get("COMPRESS_FUZZ_SEED", "0"))
TIMES = int(os.environ.get("COMPRESS_FUZZ_TIMES", "1"))

Compress = Callable[..., tuple[int, str, str]]
Run = tuple[Path, Path, Path]


def each(whole: bytes, count: int) -> Iterator[tuple[str, bytes]]:
    for number, made in enumerate(variants(SEED, whole, count * TIMES)):
        yield f"seed {SEED}, number {number}", made


def refused(act: Callable[[], object], kinds: tuple[type[BaseException], ...], which: str) -> None:
    """See that an act works, or raises what it promises and nothing else."""
    try:
        act()
    except BaseException as error:
        if not isinstance(error, kinds) or getattr(error, "exit_code", None) == Exit.BUG:
            raise AssertionError(f"{which}: {type(error).__name__}: {error}") from error


def no_bug(told: tuple[int, str, str], which: str) -> None:
    code, out, said = told
    assert code != Exit.BUG, (which, said)
    assert "Traceback" not in said, which
    assert (out + said).replace("\n", "").replace("\t", "").isprintable(), which


def test_pipeline_files(tiny_run: Run, compress: Compress, tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    for which, made in each(tiny_run[0].read_bytes(), 90):
        file.write_bytes(made)
        no_bug(compress("plan", file, "--store", tmp_path / "store"), which)


def test_reports(tiny_run: Run, compress: Compress, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(tiny_run[1], folder)
    for which, made in each((tiny_run[1] / "report.json").read_bytes(), 60):
        (folder / "report.json").write_bytes(made)
        no_bug(compress("report", folder), which)


def test_rows_of_a_device(tiny_run: Run, compress: Compress, tmp_path: Path) -> None:
    folder, added = tmp_path / "run", tmp_path / "rows.json"
    folder.mkdir()
    whole = (tiny_run[1] / "report.json").read_bytes()
    report = json.loads(whole)
    rows = next(row["latency"] for row in report["models"] if row["latency"])
    device = {"machine": report["environment"], "model_sha256": report["shipped"]["model_sha256"], "rows": rows}
    for which, made in each(json.dumps(device).encode(), 40):
        (folder / "report.json").write_bytes(whole)
        added.write_bytes(made)
        no_bug(compress("report", folder, "--add", added), which)


def test_manifests_and_memories_of_a_store(tiny_run: Run, compress: Compress, tmp_path: Path) -> None:
    store = tmp_path / "store"
    shutil.copytree(tiny_run[2], store)
    files = [sorted(store.glob(f"{place}/*.json"))[0] for place in ("artifacts/*/*", "slots", "digests")]
    for file in files:
        whole = file.read_bytes()
        for number, (which, made) in enumerate(each(whole, 25)):
            file.write_bytes(made)
            no_bug(compress("store", "list", "--store", store), which)
            if number % 5 == 0:
                no_bug(compress("plan", tiny_run[0], "--store", store), which)
        file.write_bytes(whole)


def test_descriptions_of_a_bundle(tiny_run: Run, tmp_path: Path) -> None:
    from compressor.bundle import bundle as bundles

    folder = tmp_path / "bundle"
    shutil.copytree(tiny_run[1] / "bundle", folder)
    path = folder / "bundle.json"
    whole = path.read_bytes()

    def read() -> None:
        bundle = bundles.read(folder)
        bundles.check_files(bundle)

    for which, made in each(whole, 50):
        path.write_bytes(made)
        refused(read, (CompressError,), which)
    chance = random.Random(SEED)
    for number in range(40 * TIMES):
        facts = changed(chance, json.loads(whole))
        if isinstance(facts, dict):
            try:
                facts["digest"] = manifest_digest(facts)
            except ValueError:
                continue
            path.write_text(json.dumps(facts))
            refused(read, (CompressError,), f"seed {SEED}, signed {number}")
            refused(lambda: _by_the_runner(folder), (Refused,), f"seed {SEED}, signed {number}")


def _by_the_runner(folder: Path) -> None:
    facts = read_manifest(folder)
    with understood(folder):
        check_files(folder, facts)
        check_preprocess(facts["preprocess"])


def test_a_description_without_preprocessing(tiny_run: Run, tmp_path: Path) -> None:
    from compressor.bundle import bundle as bundles

    facts = json.loads((tiny_run[1] / "bundle" / "bundle.json").read_text())
    del facts["preprocess"]
    facts["digest"] = manifest_digest(facts)
    (tmp_path / "bundle.json").write_text(json.dumps(facts))
    with pytest.raises(IntegrityError, match="preprocess"):
        bundles.read(tmp_path)


def test_golden_samples(tiny_run: Run, tmp_path: Path) -> None:
    path = tmp_path / "samples.npz"
    for which, made in each((tiny_run[1] / "bundle" / "samples.npz").read_bytes(), 50):
        path.write_bytes(made)
        refused(lambda: load_samples(path), (Refused,), which)


def test_graphs(tiny_run: Run, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    for which, made in each((tiny_run[1] / "bundle" / "model.onnx").read_bytes(), 80):
        path.write_bytes(made)
        refused(lambda: check_graph(path), (Refused, ValueError), which)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM"])
def test_pictures(form: str) -> None:
    import numpy as np
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 256, (24, 20, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form)
    for which, made in each(file.getvalue(), 15):
        refused(lambda made=made: _prepared(made), (ValueError,), f"{form}: {which}")


def _prepared(encoded: bytes) -> None:
    steps = [{"channels": "rgb"}, {"resize": {"shortest": 8}}, {"center_crop": [8, 8]}, {"scale": 255}]
    prepare(decode(encoded), steps)


def _weights(kind: str, path: Path) -> bytes:
    import torch
    from safetensors.torch import save_file

    state = {"conv.weight": torch.zeros(4, 3, 3, 3), "conv.bias": torch.zeros(4)}
    if kind == "safetensors":
        save_file(state, path)
    else:
        held: Any = {"state_dict": state, "epoch": 3, "optimizer": {"state": [1, 2]}}
        torch.save(held, path, _use_new_zipfile_serialization=kind == "zip")
    return path.read_bytes()


@pytest.mark.parametrize("problem", [UnicodeDecodeError("utf-8", b"x", 0, 1, "x"), NotImplementedError("zip 6.4")])
def test_whatever_a_torn_file_raises_is_a_mistake_of_the_file(
    problem: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from compressor.models import checkpoints

    path = tmp_path / "w.pth"
    _weights("zip", path)

    def torn(*_: object, **__: object) -> None:
        raise problem

    monkeypatch.setattr("torch.load", torn)
    with pytest.raises(InputError, match="this is no whole PyTorch file"):
        checkpoints.read(path)


@pytest.mark.parametrize("kind", ["safetensors", "zip", "pickle"])
def test_weights(kind: str, tmp_path: Path) -> None:
    from compressor.models import checkpoints

    path = tmp_path / ("w.safetensors" if kind == "safetensors" else "w.pth")
    for which, made in each(_weights(kind, path), 40):
        path.write_bytes(made)
        refused(lambda: checkpoints.read(path), (CompressError,), f"{kind}: {which}")
