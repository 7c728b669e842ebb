"""Kinds of failure, by hand and over real episodes."""

import pytest

from flare.evaluation.failures import KINDS, count_failures, failure_of
from tests.evaluation.test_summary import _record

TARGET = {"targets": [3], "collisions": 1, "length": 40}
PICKUP = {"pickups_tried": 2, "holds_target": 0}


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("fault", {"end": "fault", "first_held": 3}),
        ("dropped", {"first_held": 3, "metrics": PICKUP, "end": "done"}),
        ("grasp failed", {"metrics": PICKUP, "first_seen": 2, "end": "done"}),
        ("wrong done", {"end": "done"}),
        ("wrong done", {"first_held": 3, "metrics": PICKUP | {"holds_target": 1}, "end": "done"}),
        ("stuck", {"collisions": 10, "first_visible": 4}),
        ("never saw the target", {}),
        ("saw and passed it", {"first_seen": 2, "first_visible": 9}),
        ("ran out of time", {"first_seen": 2}),
        ("ran out of time", {"targets": []}),  # rooms are to be visited
    ],
)
def test_every_kind_by_hand(kind, changes):
    assert failure_of(_record(0, False, **(TARGET | changes))) == kind
    assert failure_of(_record(0, True, **(TARGET | changes))) is None


def test_kinds_are_counted_as_shares_of_all_episodes():
    records = [_record(i, i < 4, **TARGET, end="limit") for i in range(12)]
    records += [_record(12, False, **TARGET | {"end": "done"})]
    counts = count_failures(records)
    assert [(g["kind"], g["count"], g["episodes"]) for g in counts] == [
        ("wrong done", 1, [12]), ("never saw the target", 8, [4, 5, 6, 7, 8])
    ]  # fmt: skip
    assert counts[1]["share"] == pytest.approx(8 / 13)
    assert counts[1]["low"] < 8 / 13 < counts[1]["high"]
    assert [g["kind"] for g in counts] == sorted((g["kind"] for g in counts), key=KINDS.index)
    assert count_failures([]) == []
