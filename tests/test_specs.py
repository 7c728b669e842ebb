import re
from pathlib import Path

import numpy as np
import pytest

from flare.errors import UserError
from flare.specs import ACTION_NAMES, NAVIGATION_ACTIONS, ActionSpec


def test_names_stand_in_the_order_of_the_worlds_actions():
    header = Path(__file__).parents[1] / "csrc" / "sim" / "action.hpp"
    table = header.read_text().split("kActionNames = {")[1].split("}")[0]
    assert tuple(re.findall(r'"(\w+)"', table)) == ACTION_NAMES


def test_navigation_ids_map_to_the_world_and_back():
    spec = ActionSpec()
    assert spec.names == NAVIGATION_ACTIONS
    assert (spec.size, spec.none_yet, spec.id_of("done")) == (7, 7, 4)
    assert spec.sim_actions().tolist() == [0, 1, 2, 3, 4, 6, 7]
    back = spec.policy_actions()
    assert np.array_equal(back[spec.sim_actions()], np.arange(7))
    assert (back == -1).sum() == 13


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("done", "fly"), "unknown action 'fly'"),
        (("done", "done"), "listed twice"),
        (("move_ahead",), "no 'done'"),
    ],
)
def test_bad_lists_are_user_errors(names, message):
    with pytest.raises(UserError, match=message):
        ActionSpec(names)
