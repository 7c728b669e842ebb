import json

import pytest
from PIL import Image

from flare.errors import UserError
from flare.houses.generator import GeneratorConfig, generate_house
from flare.houses.plan import draw_plan, plan_figure


@pytest.fixture(scope="module")
def house():
    return generate_house(0, "train", 0, GeneratorConfig(num_rooms=(2, 2)))


def texts(figure):
    return {text.get_text() for text in figure.axes[0].texts}


def test_a_plan_names_rooms_and_targets(house):
    target = house["objects"][0]
    figure = plan_figure(json.dumps(house), targets=[target["id"]], title="Find it")
    names = {text.split("\n")[0].replace(" ", "") for text in texts(figure)}
    assert {room["roomType"] for room in house["rooms"]} <= names
    assert target["objectType"] in names
    assert figure.texts[0].get_text() == "Find it"


def test_the_axes_hold_the_whole_house(house):
    axes = plan_figure(house).axes[0]
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    for room in house["rooms"]:
        for point in room["floorPolygon"]:
            assert left < point["x"] < right
            assert low < point["z"] < high


def test_a_png_is_written_and_depends_on_the_trajectory(house, tmp_path):
    start = house["metadata"]["agent"]["position"]
    walk = [(start["x"] + 0.1 * i, start["z"], 90.0) for i in range(5)]
    draw_plan(house, tmp_path / "plain.png", dpi=50)
    draw_plan(house, tmp_path / "again.png", dpi=50)
    draw_plan(house, tmp_path / "walk.png", walk, dpi=50)
    plain = (tmp_path / "plain.png").read_bytes()
    assert plain == (tmp_path / "again.png").read_bytes()
    assert plain != (tmp_path / "walk.png").read_bytes()
    with Image.open(tmp_path / "plain.png") as image:
        assert min(image.size) > 100


def test_bad_input(house, tmp_path):
    with pytest.raises(UserError, match="not JSON"):
        plan_figure("{")
    with pytest.raises(UserError, match="no rooms"):
        plan_figure({})
    with pytest.raises(UserError, match="cannot write"):
        draw_plan(house, tmp_path / "missing" / "plan.png")


def test_real_houses_draw(shared_dir):
    from flare.houses.files import read_houses

    for name in ("objaverse_val.jsonl.gz", "thor_misc.jsonl.gz", "holodeck_living_room.json"):
        [(_, text), *_] = read_houses(shared_dir / "houses" / name, limit=1)
        assert texts(plan_figure(text))
