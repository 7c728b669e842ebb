"""Tasks, actions and cameras as they come out of a config."""

import pytest

from flare.assembly import TaskConfig, WorldConfig
from flare.config import from_dict, to_dict
from flare.errors import UserError
from flare.specs import ACTION_NAMES, NAVIGATION_ACTIONS, CameraSpec
from flare.tasks.rewards import RewardConfig


def test_names_are_drawn_equally_and_a_mixture_by_its_weights():
    mixture = TaskConfig(names=("PickUp", "Fetch")).build()
    assert [task.name for task in mixture.tasks] == ["PickUp", "Fetch"]
    assert mixture.weights == (1.0, 1.0)
    mixture = TaskConfig(mixture={"ObjectNav": 1.0, "Fetch": 0.5}).build()
    assert (mixture.name, mixture.weights) == ("ObjectNav+Fetch", (1.0, 0.5))


def test_a_mixture_survives_the_config_file():
    config = TaskConfig(mixture={"RoomNav": 2.0}, reward=RewardConfig(step_penalty=-0.01))
    assert from_dict(to_dict(config), TaskConfig) == config
    assert config.build().tasks[0].reward.step_penalty == -0.01


def test_limits_are_the_originals_unless_given():
    config = TaskConfig(names=("ObjectNav", "RoomVisit"))
    assert [task.max_steps for task in config.build().tasks] == [500, 500]
    assert [task.max_steps for task in config.build(is_evaluation=True).tasks] == [600, 1000]
    given = TaskConfig(names=("ObjectNav", "RoomVisit"), max_steps=80)
    assert [task.max_steps for task in given.build(is_evaluation=True).tasks] == [80, 80]


@pytest.mark.parametrize(
    ("values", "key"),
    [({"names": ("Cook",)}, "task.names"), ({"mixture": {"Cook": 1.0}}, "task.mixture"),
     ({"max_steps": -1}, "task.max_steps")],
)  # fmt: skip
def test_mistakes_are_named(values, key):
    with pytest.raises(UserError, match=key):
        TaskConfig(**values)


def test_worlds_get_the_actions_and_cameras_that_the_tasks_need():
    def world(*names, **values):
        return WorldConfig(**values).for_tasks(TaskConfig(names=names).build())

    assert world("ObjectNav", "RoomNav").action_names == NAVIGATION_ACTIONS
    assert world("ObjectNav", "RoomNav").camera.num_cameras == 1
    assert world("Fetch").action_names == ACTION_NAMES
    assert world("Fetch").camera.num_cameras == 2
    assert world("Fetch", manipulation_camera=False).camera.num_cameras == 1
    two = CameraSpec(width=84, height=48, num_cameras=2)
    assert world("ObjectNav", camera=two).camera == two
    assert world("ObjectNav", action_names=ACTION_NAMES).action_names == ACTION_NAMES
    with pytest.raises(UserError, match="RoomVisit needs the action sub_done"):
        world("RoomVisit", action_names=NAVIGATION_ACTIONS)
