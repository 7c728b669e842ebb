import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flare.houses.draws import Draws
from flare.houses.layout import GRID, RoomSpec, make_layout, trace_outline
from flare.houses.styles import PLAIN, PROCTHOR


def label_grid(*rows):
    """Rows from north to south as digits, "." for the outside."""
    return np.array([[int(c) if c != "." else 0 for c in row] for row in rows[::-1]], np.int16)


def test_the_outline_of_two_rooms_by_hand():
    labels = label_grid("23", "23")  # 2 west, 3 east, each one cell wide and two deep
    west = trace_outline(labels, 2)
    ends = {(s.neighbour, s.p0, s.p1) for s in west}
    assert ends == {
        (0, (0.0, 0.0), (0.0, 0.5)),
        (0, (0.0, 0.5), (0.25, 0.5)),
        (3, (0.25, 0.5), (0.25, 0.0)),
        (0, (0.25, 0.0), (0.0, 0.0)),
    }
    border = next(s for s in west if s.neighbour == 3)
    assert border.inward == (-1.0, 0.0)
    assert border.point(0.1, 0.05) == pytest.approx((0.2, 0.4))
    assert {(s.p1, s.p0) for s in trace_outline(labels, 3) if s.neighbour == 2} == {
        (border.p0, border.p1)
    }


def test_walls_break_where_the_neighbour_changes():
    outline = trace_outline(label_grid("34", "22"), 2)
    north = [s for s in outline if s.p0[1] == s.p1[1] == GRID]
    assert [(s.neighbour, s.p0[0], s.p1[0]) for s in north] == [(3, 0.0, 0.25), (4, 0.25, 0.5)]


@pytest.mark.parametrize(
    "rows",
    [("2.2",), ("222", "2.2", "222"), ("2.", ".2")],
    ids=["two parts", "a hole", "touching corners"],
)
def test_rooms_that_are_no_single_outline_are_refused(rows):
    assert trace_outline(label_grid(*rows), 2) is None


def shoelace(points):
    following = [*points[1:], points[0]]
    return sum(ax * bz - bx * az for (ax, az), (bx, bz) in zip(points, following, strict=True)) / 2


@given(st.integers(0, 2**32), st.integers(1, 10), st.sampled_from([PLAIN, PROCTHOR]))
def test_layouts_tile_the_house(seed, count, style):
    rooms = [RoomSpec(room_type="Bedroom", area=12.0) for _ in range(count)]
    layout = make_layout(rooms, "any", style, Draws(seed, 0, 0, 0))
    if layout is None:
        return
    shared = set()
    for room, segments in layout.segments.items():
        points = [s.p0 for s in segments]
        assert all(a.p1 == b.p0 for a, b in zip(segments, segments[1:] + segments[:1], strict=True))
        assert -shoelace(points) == pytest.approx(layout.area(room))  # clockwise
        shared |= {(s.p0, s.p1, s.room, s.neighbour) for s in segments if s.neighbour}
    # Each border is seen alike from both sides, in opposite directions.
    assert shared == {(b, a, neighbour, room) for a, b, room, neighbour in shared}
    for segments in layout.segments.values():
        for segment in segments:
            if segment.neighbour:
                other = layout.other_side(segment)
                assert (other.room, other.neighbour) == (segment.neighbour, segment.room)
                assert (other.p0, other.p1) == (segment.p1, segment.p0)
