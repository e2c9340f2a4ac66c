"""The pages of a run again, from its report.json, and a device's rows beside the host's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from compressor.errors import InputError
from compressor.printable import in_json
from compressor.report.contract.details import Device
from compressor.report.contract.report import Report
from compressor.report.contract.whole import write_whole
from compressor.report.pages.save import pages

_RUNNER = "give what `python run.py --bench` printed on the device"


def report(run: Path, add: Path | None = None) -> Path:
    """Render a run's pages from its report.json alone; the path of report.html, beside which report.md lies.

    run: its folder. add: JSON of the runner's `--bench`; its rows go into report.json under `details.devices`, in
    place of older ones of the same machine.

    Raises:
        InputError: the run has no report, or the rows are of another model file.
    """
    path = run / "report.json" if run.is_dir() else run
    if path.name != "report.json" or not path.is_file():
        raise InputError(str(run), "is no run folder: there is no report.json in it", "name a folder such as runs/NAME")
    found = Report.load(path)
    if add is not None:
        found = with_device(found, read_device(add), add)
        _keep_devices(path, found.details.devices)
    pages(found, path.parent)
    return path.parent / "report.html"


def _keep_devices(path: Path, devices: Sequence[Device]) -> None:
    """Put rows into report.json, in which all else stays, what a newer version wrote there too."""
    content = json.loads(path.read_text(encoding="utf-8"))
    content["details"] = {**content.get("details", {}), "devices": [one.model_dump(mode="json") for one in devices]}
    write_whole(path, in_json(content, indent=1, letters=True) + "\n")


def read_device(path: Path) -> Device:
    """A device's rows from a file; InputError where it is not what the runner prints."""
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(str(path), f"cannot be read ({error.strerror})", _RUNNER) from None
    except (ValueError, RecursionError) as error:
        raise InputError(str(path), f"is no JSON ({error})", _RUNNER) from None
    if not isinstance(content, dict):
        raise InputError(str(path), "holds no JSON object", _RUNNER)
    try:
        device = Device.model_validate({key: content.get(key) for key in Device.model_fields})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InputError(str(path), f"{place}: {first['msg'].lower()}", _RUNNER) from None
    if not device.rows:
        raise InputError(str(path), "rows: holds none", _RUNNER)
    return device


def with_device(report: Report, device: Device, path: Path) -> Report:
    """The report with a device's rows; those of the same machine and file that it already had are replaced."""
    if report.shipped is None:
        raise InputError(str(path), "this run shipped no bundle to compare with", "run the pipeline to its export step")
    if device.model_sha256 != report.shipped.model_sha256:
        raise InputError(
            str(path),
            f"was measured with another model.onnx ({device.model_sha256[:12]}…, this run ships "
            f"{report.shipped.model_sha256[:12]}…)",
            "copy this run's bundle to the device and measure again",
        )
    others = tuple(known for known in report.details.devices if _identity(known) != _identity(device))
    details = report.details.model_copy(update={"devices": (*others, device)})
    return report.model_copy(update={"details": details})


def _identity(device: Device) -> tuple[str, ...]:
    """What tells machines apart, whatever their load and the day."""
    return tuple(str(device.machine.get(key)) for key in ("host", "cpu", "isa", "cores", "os"))
