"""`compress report RUN [--add FILE]`: its sentences, and a device's rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from compressor.api import report as api
from compressor.errors import InputError
from compressor.report.contract.report import Report


@pytest.fixture
def run(report: Report, tmp_path: Path) -> Path:
    folder = tmp_path / "runs" / "cifar10"
    folder.mkdir(parents=True)
    bare = report.model_copy(
        update={
            "models": report.models[-1:],
            "details": report.details.model_copy(
                update={"worst": (), "confusion": {}, "per_class": {}, "latency_rounds": {}}
            ),
        }
    )
    bare.save(folder / "report.json")
    return folder


def device(report: Report, **changes: Any) -> dict[str, Any]:
    assert report.shipped is not None
    row = {"threads": 4, "batch": 1, "p50_ms": 3.25, "low_ms": 3.2, "high_ms": 3.3, "samples": 2000, "rounds": 30}
    return {
        "machine": {"cpu": "Cortex-A72", "load": 0.1},
        "model_sha256": report.shipped.model_sha256,
        "rows": [row],
        **changes,
    }


def test_the_pages_come_again_from_the_file_alone(run: Path) -> None:
    assert api.report(run) == run / "report.html"
    assert (run / "report.html").is_file()
    assert (run / "report.md").is_file()


def test_rows_of_a_device_are_kept_and_replaced(run: Path, report: Report, tmp_path: Path) -> None:
    file = tmp_path / "pi.json"
    for time, load in ((3.25, 0.1), (2.5, 0.9)):
        content = device(report, machine={"cpu": "Cortex-A72", "load": load})
        content["rows"][0]["p50_ms"] = time
        file.write_text(json.dumps(content))
        api.report(run, file)
    found = Report.load(run / "report.json").details.devices
    assert [one.rows[0].p50_ms for one in found] == [2.5]
    assert "Cortex-A72" in (run / "report.html").read_text()
    file.write_text(json.dumps(device(report, machine={"cpu": "Cortex-A76"})))
    api.report(run, file)
    assert len(Report.load(run / "report.json").details.devices) == 2


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"model_sha256": "f" * 64},
            "was measured with another model.onnx (ffffffffffff…, this run ships 666666666666…); "
            "copy this run's bundle to the device and measure again",
        ),
        ({"rows": []}, "rows: holds none; give what `python run.py --bench` printed on the device"),
        (
            {"rows": [{"threads": 1}]},
            "rows.0.batch: field required; give what `python run.py --bench` printed on the device",
        ),
        (
            {"machine": None},
            "machine: input should be a valid dictionary; give what `python run.py --bench` printed on the device",
        ),
    ],
    ids=["other-model", "no-rows", "no-batch", "no-machine"],
)
def test_wrong_rows_are_refused_and_nothing_is_changed(
    run: Path, report: Report, tmp_path: Path, changes: dict[str, Any], sentence: str
) -> None:
    file = tmp_path / "pi.json"
    file.write_text(json.dumps(device(report, **changes)))
    before = (run / "report.json").read_bytes()
    with pytest.raises(InputError) as caught:
        api.report(run, file)
    assert str(caught.value) == f"{file}: {sentence}"
    assert (run / "report.json").read_bytes() == before
    assert not (run / "report.html").exists()


@pytest.mark.parametrize("text", ["not json", "[1]"])
def test_a_file_that_is_no_object_is_refused(run: Path, tmp_path: Path, text: str) -> None:
    file = tmp_path / "pi.json"
    file.write_text(text)
    with pytest.raises(InputError, match=r"pi\.json: (is no JSON|holds no JSON object)"):
        api.report(run, file)


def test_a_folder_without_a_report_is_no_run_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        api.report(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: is no run folder: there is no report.json in it; name a folder such as runs/NAME"
    )


def test_what_a_newer_version_wrote_is_ignored_and_stays(run: Path, report: Report, tmp_path: Path) -> None:
    path = run / "report.json"
    content = json.loads(path.read_text())
    for place in (content, content["verdict"], content["models"][0], content["task"], content["details"]):
        place["of_tomorrow"] = {"a": [1]}
    content["environment"]["cores_of_tomorrow"] = 3
    path.write_text(json.dumps(content))
    before = path.read_bytes()
    api.report(run)
    assert path.read_bytes() == before
    rows = device(report, of_tomorrow=1)
    rows["rows"][0]["of_tomorrow"] = 1
    file = tmp_path / "pi.json"
    file.write_text(json.dumps(rows))
    api.report(run, file)
    after = json.loads(path.read_text())
    assert len(after["details"].pop("devices")) == 1
    content["details"].pop("devices", None)
    assert after == content
