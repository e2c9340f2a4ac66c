"""Graphs that are made to take hold of a machine end in exit 4, in little time and memory, by every way in."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest

from compressor.bundle.copies import put_runner
from compressor.bundle.verify import verify
from compressor.device.child import apart
from compressor.device.command import main
from compressor.device.graphs import BITS, check_graph
from compressor.device.manifest import file_digest, manifest_digest
from compressor.device.refused import Refused
from compressor.device.samples import load_samples
from compressor.errors import IntegrityError
from tests.bundle import hostile
from tests.exported import bundle, world  # noqa: F401


def with_graph(bundle: Path, folder: Path, model: onnx.ModelProto) -> Path:
    """A copy of the bundle with another graph, all of its digests right."""
    shutil.copytree(bundle, folder)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    facts = json.loads((folder / "bundle.json").read_text())
    path = folder / "model.onnx"
    facts["files"]["model.onnx"] = {"sha256": file_digest(path), "bytes": path.stat().st_size}
    facts["digest"] = manifest_digest(facts)
    (folder / "bundle.json").write_text(json.dumps(facts))
    return folder


@pytest.mark.parametrize("name", hostile.BOUNDED)
def test_what_is_too_large_is_refused_before_it_is_loaded(name: str, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(hostile.BOUNDED[name]().SerializeToString())
    before = time.process_time()
    with pytest.raises(ValueError):
        check_graph(tmp_path / "model.onnx")
    assert time.process_time() - before < 60  # seconds; what these stand for takes for ever


def test_functions_are_counted_as_often_as_they_are_called(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    for levels, calls, fits in ((1, 1, True), (12, 2, True), (17, 2, False), (5, 12, True), (6, 12, False)):
        path.write_bytes(hostile.bomb(levels, calls).SerializeToString())
        if fits:
            check_graph(path)
        else:
            with pytest.raises(ValueError, match="more than 50,000 operators once its functions are expanded"):
                check_graph(path)


def test_depth_is_that_of_functions_and_graphs_together(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    for make, most in ((lambda n: hostile.bomb(n, 1), 32), (hostile.deep, 24)):
        path.write_bytes(make(most).SerializeToString())
        check_graph(path)
    path.write_bytes(hostile.buried(32))
    check_graph(path)
    for data in (hostile.bomb(34, 1).SerializeToString(), hostile.buried(33), hostile.buried(5000)):
        path.write_bytes(data)
        with pytest.raises(ValueError, match="more than 32 deep"):
            check_graph(path)


def test_a_tensor_holds_what_it_says_however_it_is_stored(tmp_path: Path) -> None:
    """Eight numbers of every type that onnx can store, raw and typed; and nine said to be there."""
    from onnx import TensorProto, helper, numpy_helper

    path = tmp_path / "model.onnx"
    for kind in sorted(BITS):
        if kind > TensorProto.INT4:
            continue
        text = kind == TensorProto.STRING
        values = [b"a"] * 8 if text else np.ones(8, helper.tensor_dtype_to_np_dtype(kind))
        typed = helper.make_tensor("large", kind, [8], values)
        raw = typed if text else numpy_helper.from_array(np.asarray(values), "large")
        for tensor in (typed, raw):
            for dims, fits in (([8], True), ([2, 4], True), ([2**20], False)):
                made = hostile.hollow()
                made.graph.initializer[1].CopyFrom(tensor)
                made.graph.initializer[1].ClearField("dims")
                made.graph.initializer[1].dims.extend(dims)
                path.write_bytes(made.SerializeToString())
                if fits:
                    check_graph(path)
                else:
                    with pytest.raises(ValueError, match="without the numbers for it"):
                        check_graph(path)


@pytest.mark.parametrize("place", ["/etc/passwd", "../w.bin", "a/../../w.bin", "C:\\w.bin", "\\\\host\\w", "a\0b", ""])
def test_weights_outside_of_the_folder_are_no_weights(place: str, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(hostile.external(place).SerializeToString())
    with pytest.raises(ValueError, match="outside of its folder"):
        check_graph(tmp_path / "model.onnx", external=True)


def test_weights_beside_a_given_file_are_its_own(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(hostile.external("weights/w.bin").SerializeToString())
    check_graph(tmp_path / "model.onnx", external=True)


@pytest.mark.parametrize("cut", [0, 1, 7, 100, 1000, 2000])
def test_bytes_that_are_no_graph(bundle: Path, tmp_path: Path, cut: int) -> None:
    data = (bundle / "model.onnx").read_bytes()[:cut]
    for bytes_ in (data, data + b"\xff" * 40, b"\x00" * cut, b"{}" * cut):
        (tmp_path / "model.onnx").write_bytes(bytes_)
        with pytest.raises(ValueError):
            check_graph(tmp_path / "model.onnx")


def test_changed_bytes_are_read_or_refused(bundle: Path, tmp_path: Path) -> None:
    path, random = tmp_path / "model.onnx", np.random.default_rng(0)
    seeds = [
        (bundle / "model.onnx").read_bytes(),
        *(hostile.BOUNDED[name]().SerializeToString() for name in ("sparse", "bomb")),
    ]
    refused = []
    for number in range(600):
        data = bytearray(seeds[number % len(seeds)])
        for place in random.integers(0, len(data), random.integers(1, 6)):
            data[place] = random.integers(0, 256)
        path.write_bytes(bytes(data[: random.integers(len(data) // 2, len(data) + 1)]))
        try:
            check_graph(path)
        except ValueError as error:
            refused.append(str(error))
    assert len(refused) > 300
    assert all(refused)


@pytest.mark.parametrize("name", ["bomb", "hollow", "unknown_type", *hostile.RUN])
def test_refused_by_verify_and_by_the_runner(bundle: Path, tmp_path: Path, name: str) -> None:
    folder = with_graph(bundle, tmp_path / "b", {**hostile.BOUNDED, **hostile.RUN}[name]())
    with pytest.raises(IntegrityError, match=r"model\.onnx"):
        verify(folder)
    assert main(["--bundle", str(folder), "--check"]) == 4


@pytest.mark.parametrize(("name", "option"), [("loop", "--max-seconds"), ("slow", "--max-seconds"),
                                               ("grown", "--max-memory-mb"), ("Expand", "--max-memory-mb")])  # fmt: skip
def test_what_takes_too_much_is_ended(bundle: Path, tmp_path: Path, name: str, option: str) -> None:
    folder = with_graph(bundle, tmp_path / "b", {**hostile.SLOW, **hostile.LARGE}[name]())
    seconds = 3 if name in hostile.SLOW else 120
    with pytest.raises(IntegrityError, match=f"allow more with {option}"):
        verify(folder, limits=(seconds, 500))
    words = [sys.executable, str(put_runner(tmp_path / "runs")), "--bundle", str(folder), "--check"]
    words += ["--max-seconds", str(seconds), "--max-memory-mb", "500"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 4, done.stderr
    assert f"allow more with {option}" in done.stderr


def test_arrays_that_say_they_are_larger_than_they_are(bundle: Path, tmp_path: Path) -> None:
    import io
    import zipfile

    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (2**40,)})
    with zipfile.ZipFile(tmp_path / "samples.npz", "w") as archive:
        archive.writestr("input.npy", header.getvalue() + b"\0" * 64)
    with pytest.raises(Refused, match="larger than it is") as found:
        load_samples(tmp_path / "samples.npz")
    assert found.value.code == 4


def processes() -> set[int]:
    return {int(name) for name in os.listdir("/proc") if name.isdigit()}


def environment_of(process: int) -> Mapping[str, str]:
    text = Path(f"/proc/{process}/environ").read_text(errors="replace")
    return dict(entry.split("=", 1) for entry in text.split("\0") if "=" in entry)  # type: ignore[misc]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
def test_the_process_of_a_graph_knows_no_secrets_and_dies_with_its_parent(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "hidden")
    monkeypatch.setenv("LC_TIME", "C")
    with apart("compressor.bundle.inside", bundle, 4) as child:
        known = environment_of(child._process.pid)
        assert "SECRET_TOKEN" not in known
        assert known["LC_TIME"] == "C"
    assert child._process.returncode is not None

    folder = with_graph(bundle, tmp_path / "b", hostile.loop())
    parent = subprocess.Popen([sys.executable, str(put_runner(tmp_path / "runs")), "--bundle", str(folder), "--check"])
    children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
    until = time.monotonic() + 60
    while not (found := children.read_text().split()) and time.monotonic() < until:
        time.sleep(0.02)
    assert len(found) == 1
    parent.kill()
    parent.wait()
    while int(found[0]) in processes() and time.monotonic() < until:
        time.sleep(0.02)
    assert int(found[0]) not in processes()
