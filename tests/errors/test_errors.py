"""Every broken file here says exactly what the text beside it says.

`compress plan NAME.yaml` prints what belongs in NAME.txt; read it as a user would before it goes in there.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from compressor.errors import Exit, InputError
from compressor.pipeline.file import spec

HERE = Path(__file__).parent
FILES = sorted(HERE.glob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_broken_file_says_all_its_mistakes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(HERE)
    monkeypatch.delenv("COMPRESS_TEST_UNSET", raising=False)
    with pytest.raises(InputError) as caught:
        spec.load(path.name)
    assert caught.value.sentences() == path.with_suffix(".txt").read_text(encoding="utf-8").splitlines()
    assert caught.value.exit_code == Exit.INPUT


def test_every_text_has_its_file() -> None:
    assert {path.stem for path in HERE.glob("*.txt")} == {path.stem for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_mistakes_come_in_the_order_of_the_lines(path: Path) -> None:
    sentences = path.with_suffix(".txt").read_text(encoding="utf-8").splitlines()
    parts = [sentence.split(":")[1] for sentence in sentences]
    lines = [int(part) if part.isdigit() else 0 for part in parts]
    assert lines == sorted(lines)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_sentence_speaks_to_a_person(path: Path) -> None:
    for sentence in path.with_suffix(".txt").read_text(encoding="utf-8").splitlines():
        assert sentence.startswith(path.name)
        assert "; " in sentence, "says what is wrong and what to do"
        assert not any(word in sentence for word in ("Input should", "pydantic", "NoneType", "_type", "dict", "tuple"))
