"""Who does what in an experiment: how rounds are spread over processes, and in which order each opens its sessions."""

from __future__ import annotations

import random

FEWEST_PROCESSES = 6
"""Fewer have no interval: all of 5 lie on one side of their median once in 16 times."""
USUAL_PROCESSES = 10
FEWEST_ROUNDS = 3
"""Rounds of a process, so that its median is not moved by a disturbed one."""


def spread(rounds: int, processes: int) -> list[int]:
    """How many of the rounds each process runs; the first ones take what is left over.

    >>> spread(20, 6)
    [4, 4, 3, 3, 3, 3]
    """
    return [rounds // processes + (place < rounds % processes) for place in range(processes)]


def openings(sessions: int, processes: int, seed: int) -> list[list[int]]:
    """For each process the order in which it opens the sessions, which decides where they lie in memory.

    Random, but every second order is the one before it in reverse, so that of two sessions each comes first equally
    often; and the sessions take turns at being the very first of a process.
    """
    shuffle = random.Random(seed).shuffle
    orders: list[list[int]] = []
    for pair in range((processes + 1) // 2):
        ends = list(dict.fromkeys([2 * pair % sessions, (2 * pair + 1) % sessions]))
        inner = [session for session in range(sessions) if session not in ends]
        shuffle(inner)
        order = [ends[0], *inner, *ends[1:]]
        orders += [order, order[::-1]]
    return orders[:processes]
