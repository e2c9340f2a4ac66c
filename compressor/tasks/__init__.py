"""The kinds of problem that a pipeline can name: files beside this one that define a `SPEC`. Nothing lists them."""

from __future__ import annotations

import sys

from compressor import discovery
from compressor.tasks.base import TaskSpec

TASKS: dict[str, type[TaskSpec]] = {
    spec.model_fields["type"].default: spec for spec in discovery.each(sys.modules[__name__], "SPEC")
}
