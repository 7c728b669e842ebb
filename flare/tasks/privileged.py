"""Facts as numbers for a privileged critic: what the world knows and the camera may not show."""

import numpy as np
from numpy.typing import NDArray

from flare.tasks.task import Facts

NUM_PRIVILEGED = 14
_LENGTH_SCALE = 5.0  # m, brings distances in houses to about one


def privileged_features(facts: Facts, max_steps: int) -> NDArray[np.float32]:
    """Features of the state for the critic.

    Args:
        facts: [...] structured rows of csrc/sim/facts.hpp.
        max_steps: the task's limit, for the share of time that is left.

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
    share_used = facts["step"] / np.float32(max_steps)
    out[..., 9] = share_used
    # The value falls to nothing in the last steps; a linear critic of time needs these to bend.
    left = np.maximum(max_steps - facts["step"], 0)
    out[..., 10] = np.exp(-left / 10.0)
    out[..., 11] = np.minimum(geodesic / 0.2 / np.maximum(left, 1), 2.0)
    out[..., 12] = facts["last_action_success"]
    out[..., 13] = facts["step"] == 0
    return out
