"""Whatever is done to a file that ships, the answer is a pipeline or sentences, and never a bug of ours."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from compressor.errors import InputError
from compressor.pipeline.file import spec, yaml_file
from compressor.pipeline.file.resolved import resolved, resolved_yaml

ROOT = Path(__file__).parents[2]
TEXTS = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "pipelines").glob("*.yaml"))]
JUNK = (
    "null", "5", "-1", "1.5", "true", "[]", "{}", "[[1]]", "{a: 1}", "x", "'5'", "1e400", "{stage: load}", "[null]",
    "!!foo x", "*x", "${HOME}", "${NOT_SET_ANYWHERE}", "{1: 2}", "{name: 3, factory: 4}", "[{horizontal_flip: 3}]",
    "resnet8",
)  # fmt: skip
LETTERS = ":{}[]-#&*!|>'\"%@`,\n\t a1"


def places(value: Any, here: tuple[object, ...] = ()) -> Iterator[str]:
    if here:
        yield ".".join(map(str, here))
    for key, part in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(part, (*here, key))


def read(text: str, *sets: str) -> spec.Pipeline | list[str]:
    try:
        return spec.parse(yaml_file.scan(text, Path("x.yaml"), sets))
    except InputError as error:
        return error.sentences()


def check(found: spec.Pipeline | list[str]) -> None:
    if isinstance(found, list):
        for sentence in found:
            assert sentence.startswith(("x.yaml", "--set "))
            assert not any(word in sentence for word in ("Input should", "pydantic", "object at 0x"))
    else:
        again = spec.parse(yaml_file.scan(resolved_yaml(found), Path("x.yaml")))
        assert resolved(again) == resolved(found)


@pytest.mark.parametrize("seed", range(4))
def test_values_replaced_by_junk(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPRESS_DATA", "/sets")
    chance = random.Random(seed)
    for text in TEXTS:
        known = list(places(yaml_file.scan(text, Path("x.yaml")).data))
        for _ in range(15):
            check(read(text, *(f"{chance.choice(known)}={chance.choice(JUNK)}" for _ in range(chance.randint(1, 3)))))


@pytest.mark.parametrize("seed", range(4))
def test_letters_changed(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPRESS_DATA", "/sets")
    chance = random.Random(seed)
    for text in TEXTS:
        for _ in range(8):
            letters = list(text)
            for _ in range(chance.randint(1, 5)):
                letters[chance.randrange(len(letters))] = chance.choice(["", *LETTERS])
            check(read("".join(letters)))


def test_the_files_that_ship_have_no_mistakes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPRESS_DATA", "/sets")
    assert TEXTS
    for text in TEXTS:
        assert isinstance(read(text), spec.Pipeline)
