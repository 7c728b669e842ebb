"""The contract between a collector and N worlds, whatever simulates them."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from flare.specs import ActionSpec


@dataclass(frozen=True, kw_only=True, slots=True)
class WorldSpecs:
    """Shapes and types of what worlds write, and the actions they take."""

    num_envs: int  # N
    num_cameras: int  # C, the navigation camera first
    height: int  # px
    width: int  # px
    facts_dtype: np.dtype[np.void]  # one row of facts, see csrc/sim/facts.hpp
    episode_dtype: np.dtype[np.void]  # one episode's start
    actions: ActionSpec  # what step() understands

    @property
    def frames_shape(self) -> tuple[int, int, int, int, int]:
        """(N, C, H, W, 3) of the uint8 frames."""
        return (self.num_envs, self.num_cameras, self.height, self.width, 3)

    def new_frames(self) -> NDArray[np.uint8]:
        """[N, C, H, W, 3] uint8 zeros, for callers without a rollout buffer."""
        return np.zeros(self.frames_shape, np.uint8)

    def new_facts(self) -> NDArray[np.void]:
        """[N] zeros of ``facts_dtype``."""
        return np.zeros(self.num_envs, self.facts_dtype)


class Worlds(Protocol):
    """N worlds stepped together. Frames and facts are written in place into the caller's arrays.

    ``frames`` is [N, C, H, W, 3] uint8 and ``facts`` [N] of ``specs.facts_dtype``, both writable
    and C-contiguous; they may be rows of a rollout buffer and differ from call to call.
    """

    @property
    def specs(self) -> WorldSpecs:
        """Shapes, types and actions; constant."""
        ...

    @property
    def num_envs(self) -> int:
        """N."""
        ...

    def reset(
        self,
        env_ids: NDArray[np.int32],
        specs: NDArray[np.void],
        frames: NDArray[np.uint8],
        facts: NDArray[np.void],
    ) -> None:
        """Start episodes in the envs ``env_ids`` [n] from ``specs`` [n]; write only their rows.

        Raises:
            FlareError: a start, target or house that does not exist; then no env has changed.
        """
        ...

    def step(
        self, actions: NDArray[np.integer[Any]], frames: NDArray[np.uint8], facts: NDArray[np.void]
    ) -> None:
        """Execute one policy action per env, [N] ids of ``specs.actions``; write every row."""
        ...

    def expert_actions(self) -> NDArray[np.int64]:
        """[N] the action id an expert would take in each env's present state."""
        ...

    def save_state(self) -> NDArray[np.void]:
        """[N] opaque rows from which ``restore`` continues exactly."""
        ...

    def restore(
        self,
        env_ids: NDArray[np.int32],
        states: NDArray[np.void],
        frames: NDArray[np.uint8],
        facts: NDArray[np.void],
    ) -> None:
        """Put saved rows [n] back into the envs ``env_ids`` [n] and write their rows again."""
        ...

    def close(self) -> None:
        """Free what the worlds hold; nothing may be called afterwards."""
        ...


def all_env_ids(num_envs: int) -> NDArray[np.int32]:
    """[N] int32 0 … N-1, the ids of every env."""
    return np.arange(num_envs, dtype=np.int32)
