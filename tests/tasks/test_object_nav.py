"""What holds for every task that ends with done, by the example of ObjectNav."""

import numpy as np
import pytest

from flare.errors import UserError
from flare.tasks.object_nav import ObjectNav
from flare.tasks.rewards import RewardConfig
from tests.tasks.facts_rows import rows


def judge(reward=None, **fields):
    return ObjectNav(max_steps=5, reward=reward or RewardConfig()).judge(rows(**fields))


def test_done_with_a_visible_target_succeeds_and_pays_ten():
    judged = judge(action="done", target_visible=1, step=3)
    assert judged.success.tolist() == [True]
    assert judged.reward.tolist() == [10.0]
    assert judged.terminated.tolist() == [True]
    assert judged.truncated.tolist() == [False]


def test_done_without_a_visible_target_ends_the_episode_and_pays_nothing():
    judged = judge(action="done", target_in_view=1, step=3)
    assert (judged.success[0], judged.reward[0], judged.terminated[0]) == (False, 0.0, True)


def test_seeing_the_target_without_done_is_no_success():
    judged = judge(target_visible=1, step=3)
    assert not (judged.success[0] or judged.terminated[0] or judged.truncated[0])


def test_the_step_limit_truncates_and_never_terminates():
    actions = ["move_ahead", "done", "move_ahead"]
    judged = judge(count=3, action=actions, target_visible=[1, 1, 0], step=[5, 5, 4])
    assert judged.truncated.tolist() == [True, False, False]
    assert judged.terminated.tolist() == [False, True, False]


def test_every_term_is_paid_where_it_belongs():
    reward = RewardConfig(
        step_penalty=-0.01, failed_stop=-1.0, reached_horizon=-2.0, collision_penalty=-0.5
    )
    actions = ["move_ahead", "done", "done", "move_ahead"]
    judged = judge(
        reward, count=4, action=actions, target_visible=[0, 1, 0, 0], step=[1, 2, 2, 5],
        collided=[1, 0, 0, 0],
    )  # fmt: skip
    assert judged.reward.tolist() == pytest.approx([-0.51, 9.99, -1.01, -2.01])
    assert judged.reward.dtype == np.float32


def test_a_limit_of_no_steps_is_refused_with_its_key():
    with pytest.raises(UserError, match=r"task\.max_steps"):
        ObjectNav(max_steps=0)
