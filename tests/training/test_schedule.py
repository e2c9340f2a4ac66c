"""Learning rates worked out by hand."""

import math

import pytest

from compressor.training import schedule


def test_cosine_is_one_then_half_then_nothing() -> None:
    assert [schedule.cosine(at) for at in (0, 0.5, 1)] == pytest.approx([1, 0.5, 0])
    assert schedule.cosine(1 / 3) == pytest.approx(0.75)


def test_onecycle_meets_its_corners() -> None:
    assert schedule.onecycle(0) == pytest.approx(1 / 25)
    assert schedule.onecycle(0.15) == pytest.approx((1 + 1 / 25) / 2)
    assert schedule.onecycle(0.3) == pytest.approx(1)
    assert schedule.onecycle(0.65) == pytest.approx((1 + 1 / 250_000) / 2)
    assert schedule.onecycle(1) == pytest.approx(1 / 250_000)


def test_steps_down_at_half_and_three_quarters() -> None:
    assert [schedule.steps_down(at) for at in (0, 0.49, 0.5, 0.75, 0.99)] == pytest.approx([1, 1, 0.1, 0.01, 0.01])


def test_warmup_rises_to_the_peak_and_the_schedule_begins_there() -> None:
    rates = [schedule.share("cosine", step, 12, warmup_steps=4) for step in range(12)]
    assert rates[:5] == pytest.approx([0.25, 0.5, 0.75, 1, 1])
    assert rates[8] == pytest.approx(0.5)
    assert rates[11] == pytest.approx(0.5 * (1 + math.cos(math.pi * 7 / 8)))
    assert [schedule.share("constant", step, 4, 2) for step in range(4)] == [0.5, 1, 1, 1]


def test_onecycle_spans_all_steps_whatever_the_warmup() -> None:
    assert schedule.share("onecycle", 0, 11, 5) == pytest.approx(1 / 25)
    assert schedule.share("onecycle", 3, 11, 5) == pytest.approx(1)
    assert schedule.share("onecycle", 10, 11, 5) == pytest.approx(1 / 250_000)


def test_one_step_is_enough_for_every_schedule() -> None:
    assert [schedule.share(name, 0, 1) for name in ("cosine", "step", "constant")] == [1, 1, 1]
    assert schedule.share("onecycle", 0, 1) == pytest.approx(1 / 25)


def test_an_unknown_schedule_is_our_mistake() -> None:
    with pytest.raises(ValueError, match="no schedule 'linear'"):
        schedule.share("linear", 0, 1)


def test_drops_come_at_shares_of_the_steps_after_the_warmup() -> None:
    """Steps 4 to 11: half of the way at 8, three quarters at 10."""
    rates = [schedule.share("step", step, 12, warmup_steps=4) for step in range(12)]
    assert rates == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1, 1, 1, 0.1, 0.1, 0.01, 0.01])


def test_two_steps_of_onecycle_are_its_ends() -> None:
    assert [schedule.share("onecycle", step, 2) for step in (0, 1)] == pytest.approx([1 / 25, 1 / 250_000])


def test_a_warmup_may_take_all_steps_or_all_but_one() -> None:
    assert [schedule.share("cosine", step, 4, 4) for step in range(4)] == [0.25, 0.5, 0.75, 1]
    assert [schedule.share("cosine", step, 3, 2) for step in range(3)] == [0.5, 1, 1]
