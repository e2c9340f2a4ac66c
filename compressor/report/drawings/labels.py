"""Names of points in a crowd: each lies at its own point and nearer to no other, or a line leads to it.

Plain geometry in points of 1/72 inch, y upwards; a box is left, bottom, right, top.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

Spot = tuple[float, float]
Box = tuple[float, float, float, float]

_LETTER, _HEIGHT, _LINE, _MARK = 5.2, 9.5, 12.0, 6.0
_APART = 3.0
"""How much nearer a name without a line is to its own point than to any other."""


@dataclass(frozen=True)
class Place:
    """Where a name lies. start: where the line to its point begins, None where it lies at the point."""

    box: Box
    start: Spot | None = None


def place_names(spots: Sequence[Spot], names: Sequence[str], room: Box, lines: Sequence[Box] = ()) -> list[Place]:
    """A place for each name, chosen from the highest point to the lowest. lines: what no name may lie on."""
    marks = [_around(spot) for spot in spots]
    order = sorted(range(len(spots)), key=lambda one: (-spots[one][1], spots[one][0]))
    found: dict[int, Place] = {}
    for rank, number in enumerate(order):
        own = spots[number]
        others = [spot for one, spot in enumerate(spots) if one != number]
        leaders = [(place.start, spots[one]) for one, place in found.items() if place.start is not None]
        boxes = [place.box for place in found.values()]
        below, above = (sum(_is_near(own, spots[one]) for one in part) for part in (order[rank + 1 :], order[:rank]))
        # Halfway up the crowd, and so that the names above and below find room.
        lowest, highest = room[1] - own[1] + (below + 1) * _LINE, room[3] - own[1] - (above + 1) * _LINE
        ideal = min(max((below - above) * _LINE / 2, lowest), highest)
        free = [
            place
            for place in _places(own, _LETTER * len(names[number]), ideal)
            if _inside(place.box, room)
            and not any(_overlap(place.box, other) for other in (*marks, *boxes, *lines))
            and (place.start is not None or _is_at(place.box, own, others))
        ]
        clear = (
            place
            for place in free
            if not any(_meets(leader, place.box) for leader in leaders)
            and (place.start is None or _is_clear((place.start, own), boxes, others, leaders))
        )
        at_all = free[0] if free else next(_places(own, 0, 0))
        found[number] = next(clear, at_all)
    return [found[number] for number in range(len(spots))]


def _is_near(one: Spot, other: Spot) -> bool:
    return abs(one[0] - other[0]) < 60 and abs(one[1] - other[1]) < 2 * _LINE


def _places(own: Spot, width: float, ideal: float) -> Iterator[Place]:
    """Around the point, then beside it with a line. ideal: how far up, so that the names of a crowd fan out."""
    x, y = own
    for dx, dy in ((7, 4), (7, -13), (-7 - width, 4), (-7 - width, -13), (-width / 2, 9), (-width / 2, -19)):
        yield Place((x + dx, y + dy, x + dx + width, y + dy + _HEIGHT))
    steps = [(dx, dy) for dx in (-52, -34, -18, 18, 34, 52) for dy in range(-120, 121, 6)]
    for dx, dy in sorted(steps, key=lambda step: (math.hypot(step[0], step[1] - ideal), step[0] < 0, step[1])):
        left, bottom = x + dx - (width if dx < 0 else 0), y + dy - _HEIGHT / 2
        yield Place((left, bottom, left + width, bottom + _HEIGHT), (x + dx + (2 if dx < 0 else -2), y + dy))


def _around(spot: Spot) -> Box:
    return (spot[0] - _MARK, spot[1] - _MARK, spot[0] + _MARK, spot[1] + _MARK)


def _inside(box: Box, room: Box) -> bool:
    return box[0] >= room[0] and box[1] >= room[1] and box[2] <= room[2] and box[3] <= room[3]


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _is_at(box: Box, own: Spot, others: Sequence[Spot]) -> bool:
    """Whether a reader takes the name for that of its own point."""
    return all(_distance(box, own) + _APART <= _distance(box, other) for other in others)


def _distance(box: Box, spot: Spot) -> float:
    return math.hypot(max(box[0] - spot[0], spot[0] - box[2], 0), max(box[1] - spot[1], spot[1] - box[3], 0))


def _is_clear(
    leader: tuple[Spot, Spot], names: Sequence[Box], others: Sequence[Spot], leaders: Sequence[tuple[Spot, Spot]]
) -> bool:
    """Whether a line crosses no name, no other line, and no point but those that its own one lies upon."""
    points = [box for box in map(_around, others) if _distance(box, leader[1]) > 0]
    return not any(_meets(leader, box) for box in (*names, *points)) and not any(_cross(leader, one) for one in leaders)


def _meets(line: tuple[Spot, Spot], box: Box) -> bool:
    corners = [(box[0], box[1]), (box[2], box[1]), (box[2], box[3]), (box[0], box[3])]
    edges = zip(corners, corners[1:] + corners[:1], strict=True)
    return any(_distance(box, end) == 0 for end in line) or any(_cross(line, edge) for edge in edges)


def _cross(one: tuple[Spot, Spot], other: tuple[Spot, Spot]) -> bool:
    def side(line: tuple[Spot, Spot], spot: Spot) -> bool:
        (ax, ay), (bx, by) = line
        return (bx - ax) * (spot[1] - ay) > (by - ay) * (spot[0] - ax)

    return side(one, other[0]) != side(one, other[1]) and side(other, one[0]) != side(other, one[1])
