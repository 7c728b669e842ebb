"""The contract between a collector and N worlds, whatever simulates them."""

from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from flare.specs import CameraSpec


class Worlds(Protocol):
    """N worlds stepped together. Frames and facts are written in place into the caller's arrays.

    ``frames`` is [N, C, H, W, 3] uint8 (``camera.frame_shape`` for each env) and ``facts`` [N] of
    ``facts_dtype``, both writable and C-contiguous; they may be rows of a rollout buffer and differ
    from call to call.
    """

    @property
    def num_envs(self) -> int:
        """N."""
        ...

    @property
    def camera(self) -> CameraSpec:
        """Size and number of the frames."""
        ...

    @property
    def facts_dtype(self) -> np.dtype[np.void]:
        """One row of facts; its fields are described in csrc/sim/facts.hpp."""
        ...

    @property
    def action_names(self) -> tuple[str, ...]:
        """What ``step`` understands; an action's id is the index here."""
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
        self,
        actions: NDArray[np.integer[Any]],
        frames: NDArray[np.uint8],
        facts: NDArray[np.void],
        draw: NDArray[np.bool_] | None = None,
    ) -> None:
        """Execute one policy action per env, [N] ids into ``action_names``; write every row.

        Where ``draw`` [N] is False nobody will look: the frame may be left as it is, the facts are
        the same.
        """
        ...

    @property
    def faulted(self) -> NDArray[np.bool_]:
        """[N] whose world failed in the last ``step``: what its action did is not known.

        Such an env's rows of that step may hold anything. It is ready for ``reset`` again, and
        wants one before its next ``step``.
        """
        ...

    def expert_actions(self) -> NDArray[np.int64]:
        """[N] the action id an expert would take in each env's present state."""
        ...

    def save_state(self) -> NDArray[np.uint8]:
        """[N, B] opaque bytes from which ``restore`` continues exactly."""
        ...

    def restore(
        self,
        env_ids: NDArray[np.int32],
        states: NDArray[np.uint8],
        frames: NDArray[np.uint8],
        facts: NDArray[np.void],
    ) -> None:
        """Put saved rows [n, B] back into the envs ``env_ids`` [n] and write their rows again."""
        ...

    def close(self) -> None:
        """Free what the worlds hold; nothing may be called afterwards."""
        ...


@runtime_checkable
class LoadsAhead(Protocol):
    """Worlds that can load an episode's house while another episode still plays."""

    def announce(self, env_ids: NDArray[np.int32], specs: NDArray[np.void]) -> None:
        """Tell which episodes the envs ``env_ids`` [n] will probably start next, ``specs`` [n]."""
        ...


def all_env_ids(num_envs: int) -> NDArray[np.int32]:
    """[N] int32 0 … N-1, the ids of every env."""
    return np.arange(num_envs, dtype=np.int32)
