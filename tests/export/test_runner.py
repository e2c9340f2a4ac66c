"""What the device's runner says and with which exit code: alone in a process once, else called in this one."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from compressor.bundle.copies import deliver, equip, runner_files
from compressor.device.command import main
from compressor.device.manifest import canonical_json, file_digest, manifest_digest
from compressor.device.preprocess import numeric
from compressor.device.samples import inputs_of
from tests.exported import World, bundle, world  # noqa: F401

ALONE = """
import builtins, runpy, sys
real = builtins.__import__
def only_light(name, *rest, **more):
    assert name.split(".")[0] not in {"torch", "torchvision", "onnx", "pydantic", "compressor", "sklearn"}, name
    return real(name, *rest, **more)
builtins.__import__ = only_light
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture(scope="module")
def device(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with run.py beside it, as `compress export` makes it."""
    named = deliver(bundle, tmp_path_factory.mktemp("named"), name="digits").folder
    return equip(named, tmp_path_factory.mktemp("device")).folder


@pytest.fixture
def picture(device: Path, tmp_path: Path) -> Path:
    with np.load(device / "samples.npz") as stored:
        (tmp_path / "digit.png").write_bytes(stored["encoded_3"].tobytes())
    return tmp_path / "digit.png"


def run(*words: object) -> int:
    return int(main([str(word) for word in words]))


def test_check_alone_without_torch_and_without_this_package(device: Path) -> None:
    command = [sys.executable, "-c", ALONE, str(device / "run.py"), "--check", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["samples"] == 16
    assert said["bundle"] == "digits"
    assert said["output_difference"] == 0


def test_check_in_words(device: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--bundle", device, "--check") == 0
    assert capsys.readouterr().out == (
        "digits: 3 files are whole, 16 golden samples reproduced (largest difference 0)\n"
    )


@pytest.mark.parametrize("name", ["model.onnx", "samples.npz", "bundle.json", "README.md"])
def test_an_altered_bundle_is_exit_4_in_one_line(
    device: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = Path(shutil.copytree(device, tmp_path / "copy"))
    (copy / name).write_bytes((copy / name).read_bytes() + b" x")
    assert run("--bundle", copy, "--check") == 4
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert name in said.err


def test_a_description_that_is_signed_but_senseless_is_exit_4(
    device: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = Path(shutil.copytree(device, tmp_path / "copy"))
    for wrong in ({"inputs": []}, {"inputs": None}, {"preprocess": 3}, {"preprocess": None}, {"files": {}}):
        facts = json.loads((device / "bundle.json").read_text()) | wrong
        facts["digest"] = manifest_digest(facts)
        (copy / "bundle.json").write_text(json.dumps(facts))
        assert run("--bundle", copy, "--check") == 4, wrong
        assert capsys.readouterr().err.count("\n") == 1


def test_pictures_are_answered(device: Path, picture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with np.load(device / "samples.npz") as stored:
        expected = stored["output"][3]
    assert run("--bundle", device, picture) == 0
    assert capsys.readouterr().out == f"{picture}: {expected.argmax()} {expected.max():.1%}\n"
    assert run("--bundle", device, "--json", picture, picture) == 0
    first, second = json.loads(capsys.readouterr().out)
    assert first == second
    assert first["index"] == expected.argmax()
    assert first["probability"] == pytest.approx(float(expected.max()))


def test_a_bad_picture_is_named_and_the_others_are_answered(
    device: Path, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")
    Image.new("RGB", (8, 8)).save(tmp_path / "color.png")
    Image.new("L", (9, 8)).save(tmp_path / "wide.png")
    names = ["broken.png", "color.png", "wide.png", "missing.png"]
    assert run("--bundle", device, *(tmp_path / name for name in names), picture) == 2
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 1
    complaints = said.err.splitlines()
    assert len(complaints) == 4
    for name, line in zip(names, complaints, strict=True):
        assert name in line
    assert "[8, 9, 1]" in complaints[2]
    assert "[8, 8, 1]" in complaints[2]


def test_wrong_requests_are_exit_2(device: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--bundle", device) == 2
    told = "run.py: the command line: asks for nothing; name a picture, or give --check or --bench\n"
    assert capsys.readouterr().err == told
    assert run("--bundle", tmp_path, "--check") == 2
    assert "bundle.json" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run("--bundle", device, "--threads", 1, 2, "g.png")
    assert "argument --threads: 'g.png' is not a whole number; name pictures before" in capsys.readouterr().err
    for words in (["--threads", "0"], ["--rounds", "x"], ["--bogus"]):
        with pytest.raises(SystemExit) as end:
            run("--bundle", device, *words)
        assert end.value.code == 2


def test_bench_prints_rows_of_the_report(device: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from compressor.report.contract.rows import LatencyRow

    assert run("--bundle", device, "--bench", "--rounds", 20, "--batch", 2) == 0
    said = json.loads(capsys.readouterr().out)
    (row,) = said["rows"]
    assert set(row) == set(LatencyRow.model_fields)
    LatencyRow.model_validate(row)
    assert (row["threads"], row["batch"], row["rounds"], row["processes"]) == (1, 2, 20, 10)
    assert row["low_ms"] <= row["p50_ms"] <= row["high_ms"]
    assert row["load_ms"] > 0
    assert row["peak_memory_bytes"] > 2**20
    assert said["model_sha256"] == file_digest(device / "model.onnx")
    assert said["machine"]["cores"] >= 1


def test_a_fixed_batch_is_filled_and_its_bench_takes_no_other(
    world: World,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, _ = world.export(tmp_path, "float32", batch_size=5)
    assert run("--bundle", folder, "--check") == 0
    assert run("--bundle", folder, "--bench", "--batch", 4) == 2
    assert "made for 5" in capsys.readouterr().err


def test_an_empty_picture_is_said_to_be_one(device: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty.png").write_bytes(b"")
    assert run("--bundle", device, tmp_path / "empty.png") == 2
    told = f"run.py: {tmp_path}/empty.png: cannot be read as a picture (the file is empty); replace or remove it\n"
    assert capsys.readouterr().err == told


def test_a_picture_that_cannot_be_read_is_told_with_what_to_do(
    device: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, why in (("none.png", "no such file or directory"), (".", "is a directory")):
        place = tmp_path / name
        assert run("--bundle", device, place) == 2
        told = f"run.py: {place}: cannot be read ({why}); see that it is there and may be read\n"
        assert capsys.readouterr().err == told


@pytest.mark.skipif(os.name == "nt", reason="a closed pipe is another error on Windows")
@pytest.mark.parametrize(("words", "code"), [(["--check"], 0), (["digit.png", "none.png"], 2), ([], 2)])
def test_output_that_nobody_reads_changes_no_exit_code(
    device: Path, picture: Path, words: list[str], code: int
) -> None:
    command = [sys.executable, str(device / "run.py"), *words]
    for both in (False, True):
        read, write = os.pipe()
        os.close(read)
        errors = write if both else subprocess.PIPE
        done = subprocess.run(command, stdout=write, stderr=errors, cwd=picture.parent, check=False)
        os.close(write)
        assert done.returncode == code
        assert b"Traceback" not in (done.stderr or b"")
        assert b"BrokenPipe" not in (done.stderr or b"")


def test_the_canonical_spelling_is_the_stores() -> None:
    from compressor.store import keys

    value = {"b": [1, 2.5e-7, None, True], "a": {"é": "\u2028", "z": 0.1}}
    assert canonical_json(value) == keys.canonical_json(value).encode()


def test_the_runner_keeps_to_python_3_9() -> None:
    for path in runner_files().values():
        ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 9))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("qemu-x86_64") is None, reason="user-mode emulation (qemu-user) is not installed")
def test_the_same_bits_on_a_cpu_without_vnni(device: Path) -> None:
    packages = Path(np.__file__).parent.parent
    interpreter = Path(sys.executable).resolve()
    command = ["qemu-x86_64", "-cpu", "Haswell", str(interpreter), str(device / "run.py"), "--check", "--json"]
    environment = {"PYTHONPATH": str(packages), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PATH": "/usr/bin"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["output_difference"] == 0


@pytest.fixture(scope="module", params=["float", "pixels_nhwc"])
def bare(world: World, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy for a device of a bundle whose pipeline leaves golden samples out."""
    made, _ = world.export(tmp_path_factory.mktemp("bare"), samples=False, input=request.param)
    return equip(made, tmp_path_factory.mktemp("device")).folder


def test_without_golden_samples_nothing_can_be_reproduced(bare: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert {path.name for path in bare.iterdir()} == {"model.onnx", "bundle.json", "README.md", "run.py", "runner"}
    assert run("--bundle", bare, "--check") == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == (
        f"run.py: {bare}: its 2 files are whole, but golden samples were left out when it was exported, so there is "
        "nothing to reproduce; export it with `samples: true`, or give a picture\n"
    )


def test_without_golden_samples_pictures_are_answered_and_noise_is_timed(
    bare: Path, picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--bundle", bare, picture) == 0
    assert capsys.readouterr().out.startswith(f"{picture}: ")
    assert run("--bundle", bare, "--bench", "--rounds", 20, "--batch", 2) == 0
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert (row["batch"], row["peak_memory_bytes"] > 0) == (2, True)
    facts = json.loads((bare / "bundle.json").read_text())
    feed = inputs_of(bare, facts)
    assert feed.dtype == facts["inputs"][0]["dtype"]
    assert len(np.unique(feed)) > 16
    if feed.dtype == np.float32:  # as the preprocessing leaves pixels
        again = np.random.default_rng(0).integers(0, 256, (1, 8, 8, 1), dtype=np.uint8)
        assert np.array_equal(feed, numeric(again, facts["preprocess"]))


def test_an_altered_file_is_told_before_there_is_nothing_to_reproduce(bare: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(bare, tmp_path / "copy"))
    (copy / "model.onnx").write_bytes((copy / "model.onnx").read_bytes() + b" ")
    assert run("--bundle", copy, "--check") == 4
