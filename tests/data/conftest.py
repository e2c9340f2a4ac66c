"""Small real picture files, made with Pillow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Shoot = Callable[..., Path]


@pytest.fixture
def shoot(tmp_path: Path) -> Shoot:
    """`shoot("train/cat/1.png", size=(12, 10), mode="RGB")` saves a picture below tmp_path/pictures."""
    random = np.random.default_rng(7)

    def save(name: str, size: Sequence[int] = (12, 10), mode: str = "RGB") -> Path:
        path = tmp_path / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 256, (*size, 3), dtype=np.uint8)
        Image.fromarray(pixels).convert(mode).save(path)
        return path

    return save


@pytest.fixture
def pictures(tmp_path: Path, shoot: Shoot) -> Path:
    """A folder with two classes, six pictures each in train/ and two in test/."""
    for part, each in (("train", 6), ("test", 2)):
        for name in ("cat", "dog"):
            for number in range(1, each + 1):
                shoot(f"{part}/{name}/{number}.png")
    return tmp_path / "pictures"
