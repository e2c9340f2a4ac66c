"""The batches that samples are looked at in, by hand."""

from __future__ import annotations

from compressor.models import company


def test_a_slow_network_is_asked_for_few_batches_and_a_quick_one_for_a_large_one() -> None:
    assert [company.count(seconds) for seconds in (0.001, 0.1, 1.0)] == [8, 4, 3]
    assert company.batches([0, 1, 2], quick=False) == [[0, 1, 2], [0], [2], [1, 2], [2, 1, 0]]
    assert company.batches([0, 1], quick=False) == [[0, 1], [0], [1], [1], [1, 0]]
    four = company.batches([0, 1, 2, 3], quick=False)
    assert four == [
        [0, 1, 2, 3], [0], [1], [3], [1, 2], [0, 2, 3], [3, 2, 1, 0], [3, 1, 0, 2], [1, 0, 0, 0]
    ]  # fmt: skip
    *few, many = company.batches(list(range(8)), quick=True)
    assert len(many) == 65
    assert many[:9] == [0, 1, 2, 3, 4, 5, 6, 7, 0]
    assert company.batches(list(range(8)), quick=False) == few
