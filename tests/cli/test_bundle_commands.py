"""`compress verify`, `export` and `evaluate` on real bundles: what they print, refuse and leave behind."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import onnx
import pytest

from compressor.bundle.verify import verify as verified
from compressor.cli import bundle_commands as commands
from compressor.cli.bundle_commands import evaluate_file
from compressor.errors import InputError, IntegrityError
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
    commands.verify(bundle)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert lines[3].startswith("golden samples  16 reproduced")


def test_export_makes_a_copy_that_checks_and_can_be_made_again(bundle: Path, tmp_path: Path) -> None:
    target = tmp_path / "device"
    for _ in range(2):
        commands.export(bundle, "python", target)
        names = {path.name for path in target.iterdir()}
        assert names == {"model.onnx", "bundle.json", "samples.npz", "README.md", "run.py"}
        verified(target)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["device"]
    commands.export(target, "python", tmp_path / "again")
    assert (target / "bundle.json").read_bytes() == (tmp_path / "again" / "bundle.json").read_bytes()


def test_export_keeps_away_from_what_is_not_its_own(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match=r"thesis\.txt"):
        commands.export(bundle, "python", tmp_path)
    target = tmp_path / "device"
    commands.export(bundle, "python", target)
    (target / "holiday.jpg").write_bytes(b"x")
    with pytest.raises(InputError, match=r"holiday\.jpg"):
        commands.export(bundle, "python", target)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"
    for wrong in (bundle, bundle / "inside", tmp_path / "thesis.txt"):
        with pytest.raises(InputError, match="--to"):
            commands.export(bundle, "python", wrong)
    with pytest.raises(InputError, match='no runner for "cobol"'):
        commands.export(bundle, "cobol", tmp_path / "new")


def test_export_of_an_altered_bundle_leaves_nothing(bundle: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(bundle, tmp_path / "copy"))
    (copy / "README.md").write_text("the best model")
    with pytest.raises(IntegrityError, match=r"README\.md"):
        commands.export(copy, "python", tmp_path / "device")
    assert not (tmp_path / "device").exists()


def test_evaluate_a_bundle(bundle: Path, pipeline: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commands.evaluate(bundle, pipeline, as_json=True)
    found = json.loads(capsys.readouterr().out)
    quality = found["quality"]["accuracy"]
    assert quality["n"] == 360
    assert quality["low"] <= quality["value"] <= quality["high"]
    assert found["precision"] == "int8"
    assert found["latency"][0]["rounds"] == 20
    assert found["model_sha256"] == json.loads((bundle / "bundle.json").read_text())["files"]["model.onnx"]["sha256"]
    text = "\n".join(commands.described(found))
    assert f"accuracy {quality['value']:.4f}" in text
    assert "your device differs" in text


def test_evaluate_a_foreign_file_by_the_pipelines_preprocessing(
    world: World,
    pipeline: Path,
    tmp_path: Path,
) -> None:
    onnx.save(core_graph(), str(tmp_path / "mine.onnx"))
    found = evaluate_file(tmp_path / "mine.onnx", pipeline)
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
        evaluate_file(path, pipeline)
