"""A small rollout buffer, and the names of shared memory that exist."""

import os

import numpy as np

from flare.rollout.buffers import ArraySpec, RolloutBuffer

FACTS = np.dtype(
    {
        "names": ["pose", "room", "seen"],
        "formats": [("<f4", (3,)), "<i4", ("u1", (5,))],
        "offsets": [0, 16, 24],
        "itemsize": 32,
    }
)


def small_buffer(num_envs=2, num_steps=4, shared=None):
    specs = [
        ArraySpec("frames", np.uint8, (num_steps + 1, num_envs, 2, 6, 8, 3)),
        ArraySpec("facts", FACTS, (num_steps + 1, num_envs)),
        ArraySpec("actions", np.int32, (num_steps, num_envs)),
        ArraySpec("rewards", np.float32, (num_steps, num_envs)),
    ]
    return RolloutBuffer.create(specs, num_envs, shared)


def shm_entries():
    return set(os.listdir("/dev/shm"))
