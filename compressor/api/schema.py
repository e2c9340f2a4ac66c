"""The JSON Schemas of the files that others read."""

from __future__ import annotations

import json

from compressor.errors import InputError


def schema(which: str) -> str:
    """The JSON Schema of `pipeline` (the file) or `report` (report.json), as text.

    Raises:
        InputError: another name.
    """
    if which == "pipeline":
        from compressor.pipeline.file.schema import pipeline_schema

        made = pipeline_schema()
    elif which == "report":
        from compressor.report.contract.report import Report

        made = Report.model_json_schema(by_alias=True, mode="serialization")
    else:
        raise InputError("compress schema", f'there is no schema "{which}"', 'write "pipeline" or "report"')
    return json.dumps(made, indent=1, ensure_ascii=False) + "\n"
