"""How an experiment is laid out, by hand."""

from __future__ import annotations

from itertools import combinations

import pytest

from compressor.latency import plan


@pytest.mark.parametrize(
    ("rounds", "processes", "each"),
    [(30, 10, [3] * 10), (20, 6, [4, 4, 3, 3, 3, 3]), (32, 10, [4, 4, *[3] * 8]), (2, 1, [2])],
)
def test_rounds_are_spread_over_the_processes(rounds: int, processes: int, each: list[int]) -> None:
    assert plan.spread(rounds, processes) == each


@pytest.mark.parametrize("sessions", [1, 2, 3, 4, 7, 10])
def test_every_session_is_opened_once_and_each_comes_first_somewhere(sessions: int) -> None:
    orders = plan.openings(sessions, 10, seed=3)
    assert len(orders) == 10
    assert all(sorted(order) == list(range(sessions)) for order in orders)
    assert {order[0] for order in orders} == set(range(sessions))


def test_of_two_sessions_each_is_opened_before_the_other_equally_often() -> None:
    orders = plan.openings(12, 10, seed=0)
    for one, other in combinations(range(12), 2):
        assert sum(order.index(one) < order.index(other) for order in orders) == 5


def test_another_seed_is_another_order() -> None:
    assert plan.openings(6, 7, seed=0) == plan.openings(6, 7, seed=0)
    assert plan.openings(6, 7, seed=0) != plan.openings(6, 7, seed=1)
    assert len(plan.openings(6, 7, seed=0)) == 7


def test_orders_by_hand() -> None:
    """Of four sessions 0 and 1 are the ends of the first pair of processes, 2 and 3 of the second, then again."""
    orders = plan.openings(4, 5, seed=1)
    assert [(order[0], order[-1]) for order in orders] == [(0, 1), (1, 0), (2, 3), (3, 2), (0, 1)]
    assert [order[::-1] for order in orders[::2]][:2] == orders[1::2]
    assert plan.openings(1, 3, seed=0) == [[0], [0], [0]]
    assert plan.openings(3, 4, seed=0) == [[0, 2, 1], [1, 2, 0], [2, 1, 0], [0, 1, 2]]
    assert plan.openings(2, 0, seed=0) == []


def test_the_fewest_processes_have_an_interval_and_fewer_none() -> None:
    from compressor.statistics import median_interval

    assert median_interval([1.0] * plan.FEWEST_PROCESSES).low is not None
    assert median_interval([1.0] * (plan.FEWEST_PROCESSES - 1)).low is None


def test_the_fewest_rounds_outvote_a_disturbed_one() -> None:
    import numpy as np

    from compressor.device.figures import process_median

    def calm(rounds: int) -> bool:
        return process_median([np.array([9.0])] + [np.array([1.0])] * (rounds - 1)) == 1.0

    assert calm(plan.FEWEST_ROUNDS) and not calm(plan.FEWEST_ROUNDS - 1)
