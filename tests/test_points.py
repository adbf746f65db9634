"""A point is a value: it compares as its numbers do, and knows its names."""

import copy
import json
import pickle

from difffeat.features.points import Point


def test_a_point_is_the_pair_of_its_numbers():
    point = Point(30, 8)
    assert point == (30, 8) and (30, 8) == point and hash(point) == hash((30, 8)) and {(30, 8): 1}[point] == 1
    timestep, block = point
    assert (timestep, block) == (point.timestep, point.block) == (30, 8)
    assert sorted([Point(30, 8), Point(0, 12), Point(30, 4)]) == [(0, 12), (30, 4), (30, 8)]
    assert Point.of((30, 8)) == Point.of(point) == point and json.dumps([point]) == "[[30, 8]]"
    assert (point.name, point.label) == ("b08/t0030", "(30, 8)")


def test_another_place_is_another_point():
    out, inside = Point(30, 8), Point(30, 8, "attention")
    assert inside != out and out != inside and inside != (30, 8) and len({out, inside}) == 2
    assert (inside.name, inside.label) == ("b08/attention/t0030", "(30, 8, attention)")
    for same in (pickle.loads(pickle.dumps(inside)), copy.deepcopy(inside)):
        assert same == inside and same.place == "attention"
