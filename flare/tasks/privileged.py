"""Facts as numbers for a privileged critic: what the world knows and the camera may not show."""

import numpy as np
from numpy.typing import NDArray

from flare.tasks.task import Facts

NUM_PRIVILEGED = 11
_LENGTH_SCALE = 5.0  # m, brings distances in houses to about one


def privileged_features(facts: Facts) -> NDArray[np.float32]:
    """Features of the state for the critic.

    No clock among them: a step limit bootstraps with the value of the last observation, so values
    are those of an episode without a limit. A critic that knows the time is asked for V at a time
    that no target ever reaches, trains on its own extrapolation and diverges.

    Args:
        facts: [...] structured rows of csrc/sim/facts.hpp.

    Returns:
        [..., NUM_PRIVILEGED] float32, all of order one.
    """
    out = np.empty((*facts.shape, NUM_PRIVILEGED), np.float32)
    geodesic = facts["target_geodesic"]
    unreachable = geodesic < 0
    out[..., 0] = np.where(unreachable, 4.0, geodesic / _LENGTH_SCALE)
    out[..., 1] = unreachable
    out[..., 2] = facts["target_distance"] / _LENGTH_SCALE
    for i, name in enumerate(("target_bearing_deg", "path_bearing_deg")):
        angle = np.deg2rad(facts[name])
        out[..., 3 + 2 * i] = np.sin(angle)
        out[..., 4 + 2 * i] = np.cos(angle)
    out[..., 7] = facts["target_visible"]
    out[..., 8] = facts["target_in_view"]
    out[..., 9] = facts["last_action_success"]
    out[..., 10] = facts["step"] == 0
    return out
