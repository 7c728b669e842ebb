"""A mixture judges each row as its own task does."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flare.errors import UserError
from flare.specs import ACTION_NAMES, NAVIGATION_ACTIONS
from flare.tasks.mixture import TaskMixture
from flare.tasks.registry import TAGS, TASK_NAMES, TASKS
from flare.worlds.embedded import FACTS_DTYPE
from tests.tasks.facts_rows import rows


def any_rows(seed, tasks):
    """Rows of arbitrary content, with actions and steps near what decides."""
    rng = np.random.default_rng(seed)
    facts = np.frombuffer(
        rng.integers(0, 2, (len(tasks), FACTS_DTYPE.itemsize), np.uint8).tobytes(), FACTS_DTYPE
    ).copy()
    facts["task"] = [TAGS[name] for name in tasks]
    facts["last_action"] = rng.choice(
        [ACTION_NAMES.index(n) for n in ("done", "sub_done")], len(tasks)
    )
    facts["step"] = rng.integers(1, 12, len(tasks))
    facts["num_rooms"] = rng.integers(1, 4, len(tasks))
    facts["rooms_reported"] = rng.integers(0, 8, len(tasks))
    return facts


@settings(deadline=None)
@given(st.integers(0, 2**32), st.lists(st.sampled_from(TASK_NAMES), min_size=1, max_size=12))
def test_a_mixture_is_each_task_on_its_rows(seed, tasks):
    limits = {name: 4 + i for i, name in enumerate(TASK_NAMES)}
    every = {name: TASKS[name](max_steps=limits[name]) for name in TASK_NAMES}
    facts = any_rows(seed, tasks)
    together = TaskMixture.of(*every.values()).judge(facts)
    for i, name in enumerate(tasks):
        alone = every[name].judge(facts[i : i + 1])
        for part in ("reward", "terminated", "truncated", "success"):
            assert getattr(together, part)[i] == getattr(alone, part)[0], (name, part)


def test_a_row_of_another_task_is_refused():
    with pytest.raises(ValueError, match="task Fetch for a mixture of ObjectNav"):
        TaskMixture.of(TASKS["ObjectNav"]()).judge(rows(2, "Fetch"))


def test_actions_are_those_that_some_task_needs_in_the_originals_order():
    def actions(*names):
        return TaskMixture.of(*(TASKS[name]() for name in names)).actions

    assert actions("ObjectNav", "RoomNav", "ObjNavRoom") == NAVIGATION_ACTIONS
    assert set(actions("ObjectNav", "RoomVisit")) == {*NAVIGATION_ACTIONS, "sub_done"}
    assert actions("RoomVisit", "PickUp") == ACTION_NAMES
    assert list(actions("RoomVisit")) == sorted(actions("RoomVisit"), key=ACTION_NAMES.index)


def test_a_policy_without_the_actions_is_refused():
    mixture = TaskMixture.of(TASKS["ObjectNav"](), TASKS["RoomVisit"]())
    with pytest.raises(UserError, match="RoomVisit needs the action sub_done"):
        mixture.check_actions(NAVIGATION_ACTIONS)


def test_limits_and_name():
    mixture = TaskMixture.of(TASKS["RoomNav"](max_steps=7), TASKS["ObjectNav"](max_steps=9))
    assert (mixture.max_steps, mixture.name) == (9, "RoomNav+ObjectNav")


@pytest.mark.parametrize("weights", [(1.0,), (1.0, 0.0), (1.0, -2.0), (1.0, float("nan"))])
def test_weights_must_be_one_positive_number_each(weights):
    tasks = (TASKS["ObjectNav"](), TASKS["RoomNav"]())
    with pytest.raises(UserError, match=r"task\.mixture"):
        TaskMixture(tasks=tasks, weights=weights)


def test_a_task_twice_or_none_is_refused():
    for tasks in ((), (TASKS["ObjectNav"](), TASKS["ObjectNav"]())):
        with pytest.raises(UserError, match=r"task\.names"):
            TaskMixture.of(*tasks)
