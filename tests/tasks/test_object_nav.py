import numpy as np
import pytest

from flare.errors import UserError
from flare.specs import ACTION_NAMES
from flare.tasks.object_nav import ObjectNav

DTYPE = np.dtype([("last_action", "<i4"), ("target_visible", "u1"), ("step", "<i4")])
DONE, MOVE = ACTION_NAMES.index("done"), ACTION_NAMES.index("move_ahead")


def judge(task, *rows):
    return task.judge(np.array(list(rows), DTYPE))


def test_done_with_a_visible_target_succeeds_and_pays_ten():
    judged = judge(ObjectNav(max_steps=5), (DONE, 1, 3))
    assert judged.success.tolist() == [True]
    assert judged.reward.tolist() == [10.0]
    assert judged.terminated.tolist() == [True]
    assert judged.truncated.tolist() == [False]


def test_done_without_a_visible_target_ends_the_episode_and_pays_nothing():
    judged = judge(ObjectNav(max_steps=5), (DONE, 0, 3))
    assert (judged.success[0], judged.reward[0], judged.terminated[0]) == (False, 0.0, True)


def test_seeing_the_target_without_done_is_no_success():
    judged = judge(ObjectNav(max_steps=5), (MOVE, 1, 3))
    assert not (judged.success[0] or judged.terminated[0] or judged.truncated[0])


def test_the_step_limit_truncates_and_never_terminates():
    judged = judge(ObjectNav(max_steps=5), (MOVE, 1, 5), (DONE, 1, 5), (MOVE, 0, 4))
    assert judged.truncated.tolist() == [True, False, False]
    assert judged.terminated.tolist() == [False, True, False]


def test_step_penalty_is_paid_on_every_step():
    judged = judge(ObjectNav(max_steps=5, step_penalty=-0.01), (MOVE, 0, 1), (DONE, 1, 2))
    assert judged.reward.tolist() == pytest.approx([-0.01, 9.99])
    assert judged.reward.dtype == np.float32


def test_a_limit_of_no_steps_is_refused_with_its_key():
    with pytest.raises(UserError, match=r"task\.max_steps"):
        ObjectNav(max_steps=0)
