"""Summaries of hand-made records, and comparisons of pairs."""

import json

import pytest

from flare.errors import UserError
from flare.evaluation.summary import (
    compare,
    read_episode_records,
    summarise,
    summary_line,
    write_comparison,
    write_summary,
)


def _record(episode, success, **changes):
    return {
        "split": "val", "stage": "after", "episode": episode, "house": episode % 2,
        "house_source": "val line 1", "room_count": 2, "target_type": "Bed",
        "instruction": "find a bed", "success": success, "length": 40, "expert_length": 20,
        "shortest_path": 3.0, "travelled": 4.0, "return": 10.0 * success,
        "end": "done" if success else "limit", "collisions": 1, "start": [0, 0, 0],
        "trajectory": [], "actions": [],
    } | changes  # fmt: skip


def test_summary_by_hand():
    records = [
        _record(0, True),  # SEL 20/40, SPL 3/4
        _record(1, True, length=10, travelled=2.0, expert_length=-1),  # SEL undefined, SPL 1
        _record(2, False, length=100, collisions=4, end="done", shortest_path=7.0),
        _record(3, False, length=100, end="fault", shortest_path=-1.0, target_type="Sofa"),
    ]
    summary = summarise(records)
    assert (summary["stage"], summary["split"], summary["count"]) == ("after", "val", 4)
    assert summary["success"]["k"] == 2 and summary["success"]["rate"] == 0.5
    assert summary["success"]["low"] == pytest.approx(0.150039, abs=2e-6)
    assert summary["sel"]["estimate"] == pytest.approx(0.5 / 3)  # of the three that are defined
    assert (summary["sel"]["n"], summary["sel"]["undefined"]) == (3, 1)
    assert summary["spl"]["estimate"] == pytest.approx(1.75 / 4)
    assert summary["length"]["estimate"] == 62.5
    assert summary["length_success"]["estimate"] == 25
    assert summary["length_failure"]["estimate"] == 100
    assert summary["ends"] == {"done": 3, "limit": 0, "fault": 1}
    assert summary["wrong_done"] == 1
    assert summary["collisions"] == {
        "total": 7, "per_episode": 1.75, "per_100_steps": pytest.approx(2.8)
    }  # fmt: skip
    assert [(g["key"], g["success"]["k"], g["episodes"]) for g in summary["by_house"]] == [
        (0, 1, 2), (1, 1, 2)
    ]  # fmt: skip
    assert [g["key"] for g in summary["by_target_type"]] == ["Bed", "Sofa"]
    assert [(g["low"], g["high"], g["episodes"]) for g in summary["by_distance"]] == [
        (2.0, 4.0, 2), (6.0, 9.0, 1), (None, None, 1)
    ]  # fmt: skip
    json.dumps(summary, allow_nan=False)


def test_each_task_has_its_group_and_its_metrics():
    visits = {"rooms_visited": 2, "report_accuracy": 0.5}
    records = [
        _record(0, True, task="RoomVisit", metrics=visits),
        _record(1, False, task="RoomVisit", metrics={"rooms_visited": 4}),
        _record(2, True, task="Fetch", metrics={"pickups_tried": 1}),
        _record(3, True),  # as earlier versions wrote them
    ]
    groups = {group["key"]: group for group in summarise(records)["by_task"]}
    assert {key: group["success"]["k"] for key, group in groups.items()} == {
        "RoomVisit": 1, "Fetch": 1, "ObjectNav": 1
    }  # fmt: skip
    metrics = groups["RoomVisit"]["metrics"]
    assert metrics["rooms_visited"]["estimate"] == 3.0
    assert (metrics["report_accuracy"]["n"], metrics["report_accuracy"]["undefined"]) == (1, 1)
    assert groups["ObjectNav"]["metrics"] == {}


def test_every_group_adds_up_to_all_episodes():
    records = [_record(i, i % 3 == 0, room_count=i % 4, shortest_path=0.5 * i) for i in range(40)]
    summary = summarise(records)
    for field in ("by_task", "by_house", "by_target_type", "by_room_count", "by_distance"):
        assert sum(group["episodes"] for group in summary[field]) == 40
        assert sum(group["success"]["k"] for group in summary[field]) == summary["success"]["k"]


def test_lost_episodes_count_as_failures_and_are_named():
    summary = summarise([_record(0, True), _record(3, True)], expected=5)
    assert summary["missing"] == [1, 2, 4]
    assert summary["count"] == 5 and summary["success"]["rate"] == 0.4


def test_line_for_the_console():
    line = summary_line(summarise([_record(0, True), _record(1, False)], expected=4))
    assert line.startswith("after: 25.0 % success [")
    assert line.endswith("of 4 episodes, SEL 25.0 %, SPL 37.5 %, 2 episodes lost")


def test_order_of_records_does_not_matter():
    records = [_record(i, i % 3 == 0, length=10 + i) for i in range(12)]
    assert summarise(records) == summarise(records[::-1])


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([], "no episodes"),
        ([_record(0, True), _record(1, True, stage="before")], "mixture"),
        ([_record(0, True), _record(0, False)], "two records"),
    ],
)
def test_bad_sets_of_records_are_refused(records, message):
    with pytest.raises(UserError, match=message):
        summarise(records)


def test_comparison_by_hand():
    before = [_record(i, s, stage="before") for i, s in enumerate([True, True, False, False])]
    after = [_record(i, s) for i, s in enumerate([True, False, True, False])]
    result = compare(before, after[::-1])
    assert (result["both"], result["only_before"], result["only_after"], result["neither"]) == (
        1, 1, 1, 1
    )  # fmt: skip
    assert result["gained"] == [2] and result["lost"] == [1]
    assert result["difference"]["estimate"] == 0 and result["p_value"] == 1.0


@pytest.mark.parametrize(
    ("after", "message"),
    [([_record(1, True)], "2 episodes are in one"),
     ([_record(0, True, start=[1, 0, 0])], "episode 0 has another start")],
)  # fmt: skip
def test_comparison_needs_the_same_episodes(after, message):
    with pytest.raises(UserError, match=message):
        compare([_record(0, True, stage="before")], after)


def test_files_of_a_run(tmp_path):
    (tmp_path / "eval").mkdir()
    for stage, wins in (("before", 1), ("after", 3)):
        lines = [json.dumps(_record(i, i < wins, stage=stage)) for i in range(4)]
        (tmp_path / "eval" / f"{stage}.jsonl").write_text("\n".join(reversed(lines)) + "\n")
        summary = write_summary(tmp_path, stage, expected=4)
        assert json.loads((tmp_path / "eval" / f"{stage}.summary.json").read_text()) == summary
    comparison = write_comparison(tmp_path)
    assert json.loads((tmp_path / "eval" / "comparison.json").read_text()) == comparison
    assert comparison["gained"] == [1, 2]


@pytest.mark.parametrize(
    ("line", "message"),
    [("[]", "line 2: holds a list"), ("{}", "line 2: split is None"),
     (json.dumps(_record(1, True, end="boom")), "line 2: end is 'boom'"),
     (json.dumps(_record(1, 1)), "line 2: success is 1")],
)  # fmt: skip
def test_damaged_line_is_named(tmp_path, line, message):
    path = tmp_path / "after.jsonl"
    path.write_text(json.dumps(_record(0, True)) + "\n" + line + "\n")
    with pytest.raises(UserError, match=message):
        read_episode_records(path)
