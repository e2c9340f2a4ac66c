"""One figure before it is drawn: its data as JSON, and the digest that says whether an older drawing still fits."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from compressor.printable import each_printable, printable


@dataclass(frozen=True)
class Figure:
    """One figure before it is drawn. kind: the function of `plots` that draws it. alt: what it shows, in words.

    section: where on the page it stands; part: which of the section's figures it is. Both are ours, never a user's
    text; they stand in the page's comments and in the ids of the drawing.
    """

    section: str
    kind: str
    alt: str
    data: Mapping[str, Any]
    part: str = ""

    @property
    def name(self) -> str:
        """One figure of a page has it."""
        return f"{self.section}-{self.part}" if self.part else self.section

    @property
    def digest(self) -> str:
        """Equal for equal drawings: the data and the code that draws it."""
        content = json.dumps([self.name, self.kind, self.alt, self.data], sort_keys=True, allow_nan=False)
        return hashlib.sha256((content + _code()).encode()).hexdigest()

    def draw(self) -> str:
        """The figure as an `<svg>` element. Loads matplotlib."""
        from compressor.report.drawings import plots

        return plots.draw(self.kind, self.name, printable(self.alt), each_printable(self.data))


@cache
def _code() -> str:
    """The digest of the code that draws."""
    here, files = Path(__file__).parent, ("drawing.py", "labels.py", "plots.py")
    return hashlib.sha256(b"".join((here / name).read_bytes() for name in files)).hexdigest()
