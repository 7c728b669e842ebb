"""Inline drawings: well-formed, in proportion, and named for those who cannot see them."""

import math
import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flare.houses.bodies import bodies_of
from flare.report.charts import Series, line_chart, stacked_bar, whisker
from flare.report.data import load_run
from flare.report.maps import episode_map, target_bodies
from flare.report.sections import curves, maps
from tests.report.synthetic_run import evaluation_record, house, make_run


def _points(svg, css):
    root = ElementTree.fromstring(svg)
    found = [e for e in root.iter() if e.get("class") == css]
    return [[tuple(map(float, p.split(","))) for p in e.get("points").split()] for e in found]


def test_line_runs_from_corner_to_corner():
    svg = line_chart("Up", [Series(name="up", x=[0, 5, 10], y=[0.0, 5.0, 10.0])])
    ((first, middle, last),) = _points(svg, "s0")
    assert first[0] < middle[0] < last[0] and first[1] > middle[1] > last[1]
    assert middle == ((first[0] + last[0]) / 2, (first[1] + last[1]) / 2)
    assert 'aria-label="Up; last value: up 10"' in svg


def test_gaps_and_infinities_are_left_out():
    y = [None, 1.0, math.nan, 3.0, math.inf]
    ((first, last),) = _points(line_chart("A", [Series(name="a", x=range(5), y=y)]), "s0")
    assert first[0] < last[0]


def test_nothing_to_draw_is_nothing():
    assert line_chart("A", [Series(name="a", x=[1], y=[None])]) == ""


def test_titles_are_escaped():
    svg = line_chart('"<&', [Series(name="<", x=[0, 1], y=[0, 1])])
    ElementTree.fromstring(svg)


@given(
    st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=700),
    st.booleans(),
)
def test_any_numbers_make_a_well_formed_chart(values, percent):
    series = Series(name="x", x=range(len(values)), y=values)
    root = ElementTree.fromstring(line_chart("x", [series], percent=percent))
    texts = [e.text for e in root.iter("text")]
    assert 2 <= len(texts) <= 14


def test_bar_and_whisker_are_in_proportion():
    root = ElementTree.fromstring(stacked_bar([("a", 0.25), ("b", 0.75)], "Time"))
    assert [float(e.get("width")) for e in root.iter("rect")] == [25, 75]
    assert [float(e.get("x")) for e in root.iter("rect")] == [0, 25]
    lines = list(ElementTree.fromstring(whisker(0.2, 0.5, 0.9, "s0")))
    assert (lines[1].get("x1"), lines[1].get("x2"), lines[2].get("x1")) == (
        "20.00", "90.00", "50.00"
    )  # fmt: skip


def test_map_shows_rooms_walk_and_target():
    record = evaluation_record("after", 2) | {"first_seen": 5}
    svg = episode_map(house(1), record)
    root = ElementTree.fromstring(svg)
    classes = [e.get("class") for e in root.iter()]
    assert sum(c.startswith("room ") for c in classes if c) == 3
    assert classes.count("door") == 1 and classes.count("window") == 1
    assert classes.count("target") == classes.count("seen") == classes.count("start") == 1
    walk = [p for piece in _points(svg, "walk") for p in piece]
    (x, z, _), (end_x, end_z, _) = record["trajectory"][0], record["trajectory"][-1]
    assert walk[0] == pytest.approx((x, -z), abs=0.006)
    assert walk[-1] == pytest.approx((end_x, -end_z), abs=0.006)
    assert ("end good" in classes) == record["success"]


def test_unseen_target_has_no_mark():
    for first_seen in (None, -1):
        record = evaluation_record("after", 0) | {"first_seen": first_seen}
        assert 'class="seen"' not in episode_map(house(0), record)


def test_targets_are_the_named_objects_if_they_are_of_the_type():
    bodies = bodies_of(house(0))
    sofas = [i for i, body in enumerate(bodies) if body.type == "Sofa"]
    record = {"target_type": "Sofa", "targets": sofas}
    assert target_bodies(bodies, record) == [bodies[sofas[0]]]
    assert target_bodies(bodies, record | {"targets": [0]}) == [bodies[sofas[0]]]
    assert target_bodies(bodies, {"target_type": "Piano"}) == []


def test_galleries_hold_successes_and_failures_of_the_same_episodes(tmp_path):
    run = load_run(make_run(tmp_path / "run", videos=0))
    before, after = maps(run)
    for gallery in (before, after):
        assert [card["success"] for card in gallery["cards"]] == [True] * 3 + [False] * 3
    failed = [card["episode"] for card in before["cards"][3:]]
    assert failed == [card["episode"] for card in after["cards"][:3]]


def test_every_number_of_the_metrics_is_drawn(tmp_path):
    run = load_run(make_run(tmp_path / "run", videos=0))
    imitation, finetuning = curves(run)
    assert [chart["title"] for chart in imitation["charts"]] == ["Loss", "Accuracy"]
    titles = [chart["title"] for chart in finetuning["charts"]]
    assert titles == [
        "Success in training", "Return", "Entropy", "KL to the old policy",
        "KL to the imitated policy", "Value loss", "Explained variance", "Steps per second",
    ]  # fmt: skip
    assert [chart["title"] for chart in finetuning["more"]] == ["critic_warmup", "grad_norm"]
