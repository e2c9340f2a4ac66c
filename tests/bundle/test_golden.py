"""Golden samples by hand: which, and how near."""

from __future__ import annotations

import numpy as np
import pytest

from compressor.bundle import golden


def test_golden_samples_take_every_class_in_turn() -> None:
    targets = np.array([2, 2, 0, 1, 1, 1, 0, 2, 1, 1])
    assert golden.choose(targets, 1) == list(range(10))
    assert golden.choose(targets, 2**20) == [0, 1, 2, 3, 4, 5, 6, 7]
    many = np.repeat(np.arange(100), 3)
    chosen = golden.choose(many, 2**20)
    assert len(chosen) == 8
    assert len({many[place] for place in chosen}) == 8


def test_tolerances_of_inputs_by_hand() -> None:
    steps = [{"resize": {"shortest": 8}}, {"scale": 255}, {"std": [0.5, 0.25]}]
    assert golden.input_tolerance([b"\x89PNG"], steps[1:], pixels=False) == 0
    assert golden.input_tolerance([b"\x89PNG"], steps, pixels=True) == 1
    assert golden.input_tolerance([b"\xff\xd8\xff"], steps[1:], pixels=False) == pytest.approx(4 / 255, rel=2e-3)
