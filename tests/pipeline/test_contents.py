"""The code of a factory counts with all that it imports from beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from compressor.pipeline.file import spec
from compressor.pipeline.plan import contents
from compressor.store.digests import Digests

FILE = """version: 1
name: mine
task: {type: image-classification, data: digits}
steps:
  net: {stage: finetune, model: {factory: "wrap:make"}, epochs: 1}
"""


@pytest.fixture
def digest(tmp_path: Path):
    (tmp_path / "mine.yaml").write_text(FILE)
    (tmp_path / "wrap.py").write_text("from parts import Base\nimport torch\n")
    (tmp_path / "parts.py").write_text("import deeper.still\nclass Base: ...\n")
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "still.py").write_text("WIDTH = 8\n")
    (tmp_path / "other.py").write_text("")

    def of_now() -> str:
        return contents.of_step(spec.load(tmp_path / "mine.yaml"), Digests(None), "net")["model", "factory"]

    return of_now


@pytest.mark.parametrize(
    ("file", "counts"), [("wrap.py", True), ("parts.py", True), ("deeper/still.py", True), ("other.py", False)]
)
def test_a_change_of_what_a_factory_imports_is_seen(digest, tmp_path: Path, file: str, counts: bool) -> None:
    before = digest()
    with (tmp_path / file).open("a") as code:
        code.write("# another line\n")
    assert (digest() != before) is counts


def test_code_that_cannot_be_parsed_counts_by_its_bytes(digest, tmp_path: Path) -> None:
    (tmp_path / "wrap.py").write_text("def make(:")
    assert digest()
