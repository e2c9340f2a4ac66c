"""Names of points: each at its own point, or a line leads there, however crowded they are."""

from __future__ import annotations

import math
import re

from hypothesis import given, settings
from hypothesis import strategies as st

from compressor.report.drawings.figure import Figure
from compressor.report.drawings.labels import Box, Spot, place_names

ROOM = (0.0, 0.0, 300.0, 200.0)


def distance(box: Box, spot: Spot) -> float:
    return math.hypot(max(box[0] - spot[0], spot[0] - box[2], 0), max(box[1] - spot[1], spot[1] - box[3], 0))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(120, 180), st.floats(80, 120)), min_size=1, max_size=6))
def test_every_name_is_at_its_own_point_or_has_a_line(spots: list[Spot]) -> None:
    places = place_names(spots, [f"step{number}" for number in range(len(spots))], ROOM)
    for number, (place, own) in enumerate(zip(places, spots, strict=True)):
        others = spots[:number] + spots[number + 1 :]
        assert place.start is not None or all(distance(place.box, own) < distance(place.box, one) for one in others)
        for other in places[:number]:
            apart = place.box[0] >= other.box[2] or other.box[0] >= place.box[2]
            assert apart or place.box[1] >= other.box[3] or other.box[1] >= place.box[3]


def test_names_of_a_crowd_stand_in_the_order_of_its_points_each_with_its_line() -> None:
    crowd = [("low", 90.0), ("third", 90.1), ("high", 90.3), ("second", 90.2)]
    points = [
        {"name": name, "colour": "float", "x": 1.0, "y": y, "x_range": [None, None], "y_range": [None, None]}
        for name, y in [*crowd, ("teacher", 99.0)]
    ]
    svg = Figure("scatter", "scatter", "", {"x": "ms", "y": "%", "most": 100, "points": points}).draw()
    names = {
        name: float(y)
        for y, name in re.findall(r'y="([\d.]+)">([a-z]+)</text>', svg)
        if name in ("low", "third", "second", "high", "teacher")
    }
    assert sorted(names, key=names.__getitem__) == ["teacher", "high", "second", "third", "low"]
    marks = [(float(x), float(y)) for x, y in re.findall(r'<use xlink:href="#\w+" x="([\d.]+)" y="([\d.]+)"', svg)]
    ends = re.findall(r'Q [\d.]+ [\d.]+ ([\d.]+) ([\d.]+) *\n?" style="fill: none; stroke: var\(--muted\)', svg)
    led = {min(range(5), key=lambda one: math.dist(marks[one], (float(x), float(y)))) for x, y in ends}
    assert len(led) == len(ends) >= 3  # the highest and the lowest may lie at their points
    assert 4 not in led
