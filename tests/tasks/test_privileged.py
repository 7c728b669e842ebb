import numpy as np

from flare.tasks.privileged import NUM_PRIVILEGED, privileged_features
from tests.tasks.facts_rows import rows


def test_hand_computed():
    facts = rows(target_geodesic=2.5, target_distance=5.0, target_bearing_deg=90.0, step=100)
    out = privileged_features(facts)[0]
    assert out.shape == (NUM_PRIVILEGED,)
    np.testing.assert_allclose(out[:7], [0.5, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0], atol=1e-6)
    np.testing.assert_array_equal(out[7:11], 0.0)
    assert out[11:15].tolist() == [1.0, 0.0, 0.0, 0.0]  # the goal is to see


def test_flags_of_the_task_hand_computed():
    facts = rows(task="PickUp", goal=1, target_in_reach=1, holds_target=1, dropped=1)
    out = privileged_features(facts)[0]
    assert out[11:15].tolist() == [0.0, 1.0, 0.0, 0.0]
    # in target room, sub_done, manipulation camera twice, in reach, holds, picked up, dropped
    assert out[15:23].tolist() == [0, 0, 0, 0, 1, 1, 0, 1]


def test_rooms_hand_computed():
    facts = rows(
        2, "RoomVisit", num_rooms=5, rooms_left=2, rooms_reported=0b01001, room=[3, -1],
        room_distance=2.5,
    )  # fmt: skip
    out = privileged_features(facts)
    np.testing.assert_allclose(out[:, 23:27], [[0.4, 0.6, 1.0, 0.5], [0.4, 0.6, 0.0, 0.5]])


def test_hand_hand_computed():
    facts = rows(
        2, "PickUp", target_hand_distance=[0.5, 7.0], target_distance_3d=5.0, hand=(1.0, 0.7, 2.0),
        arm_lift=0.3, arm_extension=0.2, wrist_yaw_deg=90.0, held_object=[4, -1],
    )  # fmt: skip
    out = privileged_features(facts)
    np.testing.assert_allclose(out[0, 27:], [0.5, 1.0, 0.7, 0.3, 0.2, 1.0, 0.0, 1.0], atol=1e-6)
    assert out[1, 27] == 2.0 and out[1, -1] == 0.0


def test_the_critic_sees_no_clock():
    """Values exploded from 0.6 to 1800 in 400k steps when the share of time left was a feature.

    The step limit bootstraps with V(last observation), which no target ever reached.
    """
    early = rows(target_geodesic=2.0, step=3, time_left=97, max_steps=100)
    late = rows(target_geodesic=2.0, step=99, time_left=1, max_steps=100)
    np.testing.assert_array_equal(privileged_features(early), privileged_features(late))


def test_an_unreachable_target_is_marked_and_finite():
    facts = rows(target_geodesic=-1.0, target_hand_distance=-1.0, room=-1, step=3)
    out = privileged_features(facts)[0]
    assert out[1] == 1.0
    assert np.isfinite(out).all() and (np.abs(out) <= 4.0).all()


def test_leading_axes_are_kept():
    facts = rows(6, step=1).reshape(2, 3)
    assert privileged_features(facts).shape == (2, 3, NUM_PRIVILEGED)
