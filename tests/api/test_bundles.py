"""`compress verify`, `export` and `evaluate` on real bundles: what they print, refuse and leave behind."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

import onnx
import pytest
from PIL import Image

from compressor import evaluate, export, verify
from compressor.api.evaluate import _check_sides
from compressor.bundle.verify import verify as verified
from compressor.cli.app import main
from compressor.cli.bundle_commands import described, show_verified
from compressor.device.manifest import manifest_digest
from compressor.errors import InputError, IntegrityError
from compressor.printable import in_json
from tests.exported import World, bundle, core_graph, world  # noqa: F401

PIPELINE = """\
version: 1
name: digits
task: {type: image-classification, data: digits}
steps:
  net: {stage: finetune, model: resnet8, epochs: 1}
  latency: {stage: benchmark, rounds: 20, min_seconds: 0}
"""


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    path = tmp_path / "digits.yaml"
    path.write_text(PIPELINE)
    return path


def test_verify_prints_a_line_a_check(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    verified = verify(bundle)
    show_verified(str(bundle), verified)
    assert verified.reproduced
    assert [check.name for check in verified.checks] == ["description", "files", "model", "golden samples"]
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert lines[3].startswith("golden samples  16 reproduced")


def test_without_golden_samples_no_more_is_claimed_than_was_seen(
    world: World,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, _ = world.export(tmp_path / "bare", samples=False)
    show_verified(str(folder), verify(folder))
    assert capsys.readouterr().out.splitlines()[-1] == f"{folder} is what was written"
    with pytest.raises(SystemExit) as end:
        main(["export", str(folder), "--to", "python", str(tmp_path / "device")])
    assert end.value.code == 0
    assert f"try `python {tmp_path / 'device' / 'run.py'} PICTURE`" in " ".join(capsys.readouterr().out.split())


def test_export_makes_a_copy_that_checks_and_can_be_made_again(bundle: Path, tmp_path: Path) -> None:
    target = tmp_path / "device"
    for _ in range(2):
        export(bundle, target)
        names = {path.name for path in target.iterdir()}
        assert names == {"model.onnx", "bundle.json", "samples.npz", "README.md", "run.py", "runner"}
        verified(target)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["device"]
    export(target, tmp_path / "again")
    assert (target / "bundle.json").read_bytes() == (tmp_path / "again" / "bundle.json").read_bytes()


def test_an_export_that_a_kill_ends_leaves_a_whole_copy_there_or_beside_it(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    target, rename, names = (
        tmp_path / "device",
        Path.rename,
        {path.name for path in bundle.iterdir()} | {"run.py", "runner"},
    )
    export(bundle, target)
    for allowed in range(3):
        calls: list[str] = []

        def until(self: Path, other: Path, allowed: int = allowed, calls: list[str] = calls) -> Path:
            calls.append(self.name)
            if len(calls) > allowed:
                raise Killed
            return rename(self, other)

        with monkeypatch.context() as patched, contextlib.suppress(Killed):
            patched.setattr(Path, "rename", until)
            export(bundle, target)
        whole = target if target.exists() else tmp_path / ".device.old"
        assert {path.name for path in whole.iterdir()} == names
        export(bundle, target)
        assert {path.name for path in target.iterdir()} == names
        assert [path.name for path in tmp_path.iterdir()] == ["device"]


@pytest.mark.parametrize("name", [".device.old", ".device.new"])
def test_export_removes_no_folder_of_others(name: str, bundle: Path, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match=r"holds thesis\.txt"):
        export(bundle, tmp_path / "device")
    assert (tmp_path / name / "thesis.txt").exists()


def test_export_keeps_away_from_what_is_not_its_own(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match=r"thesis\.txt"):
        export(bundle, tmp_path)
    target = tmp_path / "device"
    export(bundle, target)
    (target / "holiday.jpg").write_bytes(b"x")
    with pytest.raises(InputError, match=r"holiday\.jpg"):
        export(bundle, target)
    (target / "holiday.jpg").rename(target / "runner" / "holiday.jpg")
    with pytest.raises(InputError, match=r"holds runner/holiday\.jpg"):
        export(bundle, target)
    (target / "runner" / "holiday.jpg").unlink()
    (target / "runner" / "__pycache__").mkdir()
    export(bundle, target)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"
    for wrong in (bundle, bundle / "inside", tmp_path / "thesis.txt"):
        with pytest.raises(InputError, match="--to"):
            export(bundle, wrong)
    with pytest.raises(InputError, match='no runner for "cobol"'):
        export(bundle, tmp_path / "new", language="cobol")


def test_export_of_an_altered_bundle_leaves_nothing(bundle: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(bundle, tmp_path / "copy"))
    (copy / "README.md").write_text("the best model")
    with pytest.raises(IntegrityError, match=r"README\.md"):
        export(copy, tmp_path / "device")
    assert not (tmp_path / "device").exists()


def test_evaluate_a_bundle(bundle: Path, pipeline: Path) -> None:
    found = evaluate(bundle, pipeline)
    assert json.loads(in_json(found)) == found
    quality = found["quality"]["accuracy"]
    assert quality["n"] == 360
    assert quality["low"] <= quality["value"] <= quality["high"]
    assert found["precision"] == "int8"
    assert (found["latency"][0]["rounds"], found["latency"][0]["processes"]) == (20, 6)
    assert found["model_sha256"] == json.loads((bundle / "bundle.json").read_text())["files"]["model.onnx"]["sha256"]
    text = "\n".join(described(found))
    assert f"accuracy {quality['value']:.4f}" in text
    assert "your device differs" in text


def test_evaluate_a_foreign_file_by_the_pipelines_preprocessing(
    world: World,
    pipeline: Path,
    tmp_path: Path,
) -> None:
    onnx.save(core_graph(), str(tmp_path / "mine.onnx"))
    found = evaluate(tmp_path / "mine.onnx", pipeline)
    assert found["precision"] == "float32"
    assert found["file"] == "mine.onnx"
    assert found["quality_unseen"] is None


@pytest.mark.parametrize(
    ("channels", "named"), [(3, r"float32 \['batch', 3, 8, 8\]"), (0, "is no ONNX file"), (-1, "no such file")]
)
def test_what_does_not_fit_the_task_is_refused(pipeline: Path, tmp_path: Path, channels: int, named: str) -> None:
    path = tmp_path / "mine.onnx"
    if channels > 0:
        onnx.save(core_graph(channels=channels), str(path))
    elif channels == 0:
        path.write_bytes(b"\xff\xff\xff")
    with pytest.raises(InputError, match=named):
        evaluate(path, pipeline)


def test_a_bundle_for_other_classes_is_refused_by_the_first_that_differs(
    bundle: Path, pipeline: Path, tmp_path: Path
) -> None:
    from compressor.bundle import bundle as bundles

    copy = Path(shutil.copytree(bundle, tmp_path / "copy"))
    manifest = bundles.read(copy).manifest
    answers = [*manifest.answers[:8], "yak", manifest.answers[9]]
    bundles.write(copy, manifest.model_copy(update={"answers": tuple(answers)}))
    with pytest.raises(InputError, match=r'copy: its answer 9 is "yak", and the task\'s is "8"; evaluate it on'):
        evaluate(copy, pipeline)
    bundles.write(copy, manifest.model_copy(update={"answers": manifest.answers[:7]}))
    with pytest.raises(InputError, match=r'its answer 8 is missing, and the task\'s is "7"'):
        evaluate(copy, pipeline)


def test_what_is_wrong_with_the_data_has_file_and_line(bundle: Path, pipeline: Path, tmp_path: Path) -> None:
    pipeline.write_text(PIPELINE.replace("data: digits", "data: {folder: none}"))
    onnx.save(core_graph(), str(tmp_path / "mine.onnx"))
    for path in (bundle, tmp_path / "mine.onnx"):
        with pytest.raises(InputError) as told:
            evaluate(path, pipeline)
        assert told.value.sentence().startswith(f"{pipeline}:3: task.data.folder: there is no folder")


def test_a_bundle_is_not_told_to_change_the_files_preprocessing(bundle: Path, pipeline: Path, tmp_path: Path) -> None:
    for label in range(10):
        for split in ("train", "test"):
            (tmp_path / "data" / split / str(label)).mkdir(parents=True)
            for number in range(8):
                picture = Image.new("RGB", (8, 8), (label * 20, number, 0))
                picture.save(tmp_path / "data" / split / str(label) / f"{number}.png")
    pipeline.write_text(PIPELINE.replace("data: digits", "data: {folder: data}"))
    with pytest.raises(InputError) as told:
        evaluate(bundle, pipeline)
    assert "write task.preprocess" not in told.value.sentence()
    assert "the bundle prepares pictures by its own list" in told.value.todo


@pytest.mark.parametrize(
    "step",
    [
        {"resize": {"exact": [16_384, 16_384]}},
        {"resize": {"interpolation": "nearest", "shortest": 16_384}},
        {"resize": {"longest": 16_384}},
        {"pad": {"to": [16_384, 16_384]}},
        {"pad": {"fill": 7, "to": [8, 999_999]}},
        {"center_crop": [2_400, 2_400]},
    ],
    ids=str,
)
def test_a_bundle_whose_pictures_have_no_room_is_refused(step: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError, match="more than 4,096 MB of memory; allow more with --max-memory-mb"):
        _check_sides("b", [{"channels": "rgb"}, step, {"scale": 255}], None)
    _check_sides("b", [step], (120, 2**20))
    _check_sides("b", [{"resize": {"shortest": 1024}}, {"center_crop": [1024, 1024]}], (120, 4096))


@pytest.mark.parametrize(
    ("steps", "memory_mb", "words"),
    [
        ([{"resize": {"exact": [16_384, 16_384]}}], 4096, "64 pictures of 16,384 x 16,384 pixels (resize) at once"),
        ([{"resize": {"shortest": 16_384}}, {"center_crop": [8, 8]}], 500, "a picture of 16,384 x 16,384 pixels"),
        ([{"resize": {"shortest": 500}}, {"center_crop": [8, 8]}], 500, None),
    ],
)
def test_pictures_are_bounded_before_any_is_made(
    steps: list[dict[str, object]], memory_mb: int, words: str | None, bundle: Path, pipeline: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(bundle, copy)
    facts = json.loads((copy / "bundle.json").read_text())
    facts["preprocess"] = [*steps, *facts["preprocess"]]
    facts["digest"] = manifest_digest(facts)
    (copy / "bundle.json").write_text(json.dumps(facts))
    with pytest.raises(IntegrityError, match=re.escape(words)) if words else contextlib.nullcontext():
        evaluate(copy, pipeline, limits=(60, memory_mb))


def test_a_file_of_weights_is_bounded_before_it_is_read(pipeline: Path, tmp_path: Path) -> None:
    path = tmp_path / "apart.onnx"
    onnx.save(core_graph(), path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    with (tmp_path / "weights.bin").open("r+b") as file:
        file.truncate(2**40)
    with pytest.raises(InputError, match=r"weights\.bin, which has 1,099,511,627,776 bytes"):
        evaluate(path, pipeline)
