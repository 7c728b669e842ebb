import numpy as np

from flare.tasks.privileged import NUM_PRIVILEGED, privileged_features

NAMES = (
    "target_geodesic",
    "target_distance",
    "target_bearing_deg",
    "path_bearing_deg",
    "target_visible",
    "target_in_view",
    "step",
    "last_action_success",
)


def row(**values):
    dtype = np.dtype([(name, "<i4" if name == "step" else "<f4") for name in NAMES])
    facts = np.zeros(1, dtype)
    for name, value in values.items():
        facts[name] = value
    return facts


def test_hand_computed():
    facts = row(target_geodesic=2.5, target_distance=5.0, target_bearing_deg=90.0, step=100)
    out = privileged_features(facts)[0]
    assert out.shape == (NUM_PRIVILEGED,)
    np.testing.assert_allclose(out[:7], [0.5, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0], atol=1e-6)
    np.testing.assert_array_equal(out[7:], 0.0)


def test_the_critic_sees_no_clock():
    """Values exploded from 0.6 to 1800 in 400k steps when the share of time left was a feature.

    The step limit bootstraps with V(last observation), which no target ever reached.
    """
    early, late = row(target_geodesic=2.0, step=3), row(target_geodesic=2.0, step=99)
    np.testing.assert_array_equal(privileged_features(early), privileged_features(late))


def test_an_unreachable_target_is_marked_and_finite():
    out = privileged_features(row(target_geodesic=-1.0, step=3))[0]
    assert out[1] == 1.0
    assert np.isfinite(out).all()


def test_leading_axes_are_kept():
    facts = np.repeat(row(step=1), 6).reshape(2, 3)
    assert privileged_features(facts).shape == (2, 3, NUM_PRIVILEGED)
