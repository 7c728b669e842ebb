"""What every env has played since its start: with it AI2-THOR can be brought back to a state."""

import numpy as np
from numpy.typing import NDArray

from flare.worlds.embedded import WORLD_STATE_BYTES, FlareError
from flare.worlds.thor_worker.channel import MAX_HISTORY

_STATE_BYTES = WORLD_STATE_BYTES + 4 + MAX_HISTORY  # the core's state, a length, the actions


class History:
    """Actions of N running episodes, as many as a saved state can hold."""

    def __init__(self, num_envs: int) -> None:
        self._actions = np.zeros((num_envs, MAX_HISTORY), np.uint8)
        self._length = np.zeros(num_envs, np.int32)  # also of those that did not fit

    def begin(self, env: int, actions: NDArray[np.uint8]) -> None:
        """An episode starts in which these [K] were played already."""
        self._length[env] = len(actions)
        self._actions[env, : len(actions)] = actions

    def add(self, envs: NDArray[np.int64], ids: NDArray[np.int32]) -> None:
        """Remember what these envs play now; ``ids`` [N] are the core's."""
        short = envs[self._length[envs] < MAX_HISTORY]
        self._actions[short, self._length[short]] = ids[short]
        self._length[envs] += 1

    def pack(self, core: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """[N, B] bytes of states [N, WORLD_STATE_BYTES] of the core and what led to them.

        Raises:
            FlareError: an episode is too long.
        """
        if int(self._length.max()) > MAX_HISTORY:
            raise FlareError(f"an episode of more than {MAX_HISTORY} actions cannot be saved")
        lengths = np.ascontiguousarray(self._length).view(np.uint8).reshape(len(core), 4)
        played = np.arange(MAX_HISTORY) < self._length[:, None]
        actions = np.where(played, self._actions, 0)
        return np.concatenate([core, lengths, actions], axis=1).astype(np.uint8)

    def unpack(
        self, states: NDArray[np.uint8], count: int
    ) -> tuple[NDArray[np.uint8], list[NDArray[np.uint8]]]:
        """States [n, WORLD_STATE_BYTES] of the core and the actions [K] of each.

        Raises:
            FlareError: these are not ``count`` states.
        """
        if states.shape != (count, _STATE_BYTES):
            raise FlareError(f"states are {states.shape}, not {(count, _STATE_BYTES)}")
        core = np.ascontiguousarray(states[:, :WORLD_STATE_BYTES])
        actions = states[:, WORLD_STATE_BYTES + 4 :]
        lengths = states[:, WORLD_STATE_BYTES : WORLD_STATE_BYTES + 4].copy().view(np.int32)[:, 0]
        return core, [row[:length] for row, length in zip(actions, lengths, strict=True)]
