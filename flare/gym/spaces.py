"""Observation and action spaces, and observations that lie in them."""

import string
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from flare.gym.simulation import Simulation
from flare.tasks.task import Facts

Observation = dict[str, Any]

_MAX_LETTERS = 512  # of an instruction


def action_space(simulation: Simulation) -> spaces.Discrete:
    """The tasks' actions, ids into ``worlds.action_names``."""
    return spaces.Discrete(simulation.num_actions)


def observation_space(simulation: Simulation, instruction: str) -> spaces.Dict:
    """What one environment observes.

    ``frames`` [C, H, W, 3] uint8; ``instruction`` text, or [L] word ids; ``last_action``, the
    action count before the first; ``an_object_is_in_hand`` 0 or 1; ``time_step`` from 0.
    """
    words: spaces.Space[Any] = spaces.Text(_MAX_LETTERS, charset=string.printable)
    if instruction == "tokens":
        high = len(simulation.vocabulary) - 1
        words = spaces.Box(0, high, (simulation.vocabulary.max_words,), np.int64)
    return spaces.Dict(
        {
            "frames": spaces.Box(0, 255, simulation.worlds.camera.frame_shape, np.uint8),
            "instruction": words,
            "last_action": spaces.Discrete(simulation.num_actions + 1),
            "an_object_is_in_hand": spaces.Discrete(2),
            "time_step": spaces.Discrete(simulation.mixture.max_steps + 1),
        }
    )


def observe(
    simulation: Simulation, instruction: str, frames: NDArray[np.uint8], facts: Facts
) -> Observation:
    """What N environments observe; ``frames`` is handed on as it is, the rest is new."""
    words = simulation.tokens.copy() if instruction == "tokens" else tuple(simulation.instructions)
    return {
        "frames": frames,
        "instruction": words,
        "last_action": simulation.last_action.copy(),
        "an_object_is_in_hand": (facts["held_object"] >= 0).astype(np.int64),
        "time_step": facts["step"].astype(np.int64),
    }


def of_one(observation: Observation, env: int) -> Observation:
    """One environment's part of what N observe."""
    return {name: value[env] for name, value in observation.items()}
