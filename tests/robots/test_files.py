import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from flare.errors import UserError
from flare.robots import load_robot, robot_names
from flare.specs import ACTION_NAMES, CameraSpec
from flare.worlds.embedded import EPISODE_DTYPE, EmbeddedWorlds, load_house
from tests.worlds.two_rooms import two_rooms

FIXTURES = Path(__file__).parents[2] / "csrc" / "tests" / "fixtures"


@pytest.fixture
def stretch_data():
    return json.loads(load_robot("stretch").to_json())


def write(folder, data):
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump(data))
    return path


def test_the_package_has_two_robots():
    assert robot_names() == ("locobot", "stretch")
    stretch, locobot = load_robot("stretch"), load_robot("locobot")
    assert stretch.actions == ACTION_NAMES
    assert (stretch.num_cameras, locobot.num_cameras) == (2, 1)
    assert stretch.arm is not None
    assert locobot.arm is None
    # flare.md section 2.6, and 0.2 m, 30 and 6 degrees, 0.1 and 0.02 m, 10 degrees of section 1.1.
    assert stretch.arm.lift == (-0.055, 1.0457)
    assert stretch.arm.extension == (0.243, 0.759)
    steps = stretch.steps
    assert (steps.move, steps.rotate, steps.rotate_small) == (0.2, 30.0, 6.0)
    assert (stretch.arm.step, stretch.arm.small_step, stretch.arm.wrist_step) == (0.1, 0.02, 10.0)


@pytest.mark.parametrize("name", ["stretch", "locobot"])
def test_the_c_tests_play_with_the_same_robots(name):
    assert json.loads((FIXTURES / f"{name}.json").read_text()) == json.loads(
        load_robot(name).to_json()
    )


def test_a_robot_written_to_a_file_is_the_same_robot(tmp_path, stretch_data):
    assert load_robot(write(tmp_path, stretch_data)) == load_robot("stretch")


def test_a_new_robot_is_a_file(tmp_path, stretch_data):
    """What docs/robots.md shows: a low robot without an arm, played at once."""
    stretch_data.update(name="low", arm=None, actions=["move_ahead", "rotate_right", "done"])
    stretch_data["body"] |= {"radius": 0.1, "height": 0.3, "centre_offset": 0.0}
    stretch_data["cameras"]["navigation"]["position"] = [0.0, -0.6, 0.1]
    stretch_data["cameras"]["manipulation"] = None
    robot = load_robot(write(tmp_path, stretch_data))
    camera = CameraSpec(width=32, height=24)
    house = load_house(two_rooms(), "two rooms", robot)
    assert not house.blocked(0.15, 2.0, 90.0)
    worlds = EmbeddedWorlds(
        [house], num_envs=1, robots=[robot], camera=camera, action_names=robot.actions
    )
    frames = np.zeros((1, *camera.frame_shape), np.uint8)
    facts = np.zeros(1, worlds.facts_dtype)
    spec = np.zeros(1, EPISODE_DTYPE)
    spec["x"], spec["z"] = 2.0, 1.5
    worlds.reset(np.zeros(1, np.int32), spec, frames, facts)
    worlds.step(np.zeros(1, np.int64), frames, facts)
    assert facts["position"][0, 2] == pytest.approx(1.7)
    assert facts["target_hand_distance"] == -1.0


def bad_files():
    def case(name, match, **changes):
        return pytest.param(changes, match, id=name)

    return [
        case("unknown", r"bodey: unknown field. Mend: did you mean body", bodey={}),
        case("missing", r"steps.move: missing", steps={"rotate": 30.0, "rotate_small": 6.0}),
        case("range", r"body.radius: is 18.5. Mend: use 0.01 to 5", **{"body.radius": 18.5}),
        case("type", 'body.radius: "wide" where a number', **{"body.radius": "wide"}),
        case("order", r"arm.lift: is \[1.0, 0.0\]. Mend: give two", **{"arm.lift": [1.0, 0.0]}),
        case("rest", r"arm.rest.lift: is 3.0. Mend: use -0.055 to", **{"arm.rest.lift": 3.0}),
        case("action", r"actions: unknown action 'fly'", actions=["done", "fly"]),
        case("no arm", r"actions: 'pickup' needs an arm", arm=None),
        case("fov", r"cameras.navigation.fov: is 190.0", **{"cameras.navigation.fov": 190.0}),
        case("color", r"color: is", color=[0.1, 0.2, 3.0]),
        case("variation", r"variation.radius: is", variation={"radius": [0.3, 0.1]}),
    ]


@pytest.mark.parametrize(("changes", "match"), bad_files())
def test_a_bad_file_gives_one_error_with_file_key_and_mend(tmp_path, stretch_data, changes, match):
    for key, value in changes.items():
        *path, last = key.split(".")
        place = stretch_data
        for part in path:
            place = place[part]
        place[last] = value
    with pytest.raises(UserError, match=match) as caught:
        load_robot(write(tmp_path, stretch_data))
    assert caught.value.file == str(tmp_path / "mine.yaml")
    assert caught.value.key is not None


def test_what_is_no_robot_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"no robot is called 'strech'. Mend: use one of locobot"):
        load_robot("strech")
    with pytest.raises(UserError, match=r"cannot read"):
        load_robot(tmp_path / "none.yaml")
    broken = tmp_path / "broken.yaml"
    broken.write_text("body: [1, 2\n")
    with pytest.raises(UserError, match=r"not YAML: .* at line 2"):
        load_robot(broken)
    broken.write_text("- 1\n")
    with pytest.raises(UserError, match=r"holds no mapping"):
        load_robot(broken)
    broken.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"broken.yaml"):
        load_robot(broken)
