"""What every env has played since its start: with it AI2-THOR can be brought back to a state."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from flare.worlds.embedded import WORLD_STATE_BYTES, FlareError
from flare.worlds.thor_worker.channel import MAX_HISTORY

_STATE_BYTES = WORLD_STATE_BYTES + 4 + MAX_HISTORY  # the core's state, a length, the actions


class History:
    """Actions of N running episodes."""

    def __init__(self, num_envs: int) -> None:
        self._played = [bytearray() for _ in range(num_envs)]

    def begin(self, env: int, actions: NDArray[np.uint8]) -> None:
        """An episode starts in which these [K] were played already."""
        self._played[env] = bytearray(actions.tobytes())

    def add(self, envs: Sequence[int], ids: Sequence[int]) -> None:
        """Remember what these envs play now; ``ids`` [N] are the core's."""
        for env in envs:
            self._played[env].append(ids[env])

    def pack(self, core: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """[N, B] bytes of states [N, WORLD_STATE_BYTES] of the core and what led to them.

        Raises:
            FlareError: an episode is too long.
        """
        if max(len(row) for row in self._played) > MAX_HISTORY:
            raise FlareError(f"an episode of more than {MAX_HISTORY} actions cannot be saved")
        states = np.zeros((len(core), _STATE_BYTES), np.uint8)
        states[:, :WORLD_STATE_BYTES] = core
        for state, row in zip(states, self._played, strict=True):
            led_here = np.int32(len(row)).tobytes() + row
            state[WORLD_STATE_BYTES:][: len(led_here)] = np.frombuffer(led_here, np.uint8)
        return states

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
