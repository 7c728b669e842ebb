"""C++ core of flare: shared-memory rollouts, GAE, the embedded house simulator."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

# --- rollout ---

class RolloutBuffer:
    """Arrays in shared memory and the hand-over of their slots."""

    @staticmethod
    def create(
        specs: list[tuple[str, str, int, list[int]]], num_envs: int, name: str
    ) -> RolloutBuffer: ...
    @staticmethod
    def attach_process(pid: int, fd: int, token: int) -> RolloutBuffer: ...
    @staticmethod
    def attach_fd(fd: int, token: int) -> RolloutBuffer: ...
    @staticmethod
    def attach_named(name: str, token: int) -> RolloutBuffer: ...
    @property
    def specs(self) -> list[tuple[str, str, int, list[int]]]: ...
    @property
    def num_envs(self) -> int: ...
    @property
    def num_bytes(self) -> int: ...
    @property
    def fd(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def token(self) -> int: ...
    def array_bytes(self, name: str) -> NDArray[np.uint8]: ...
    def send_actions(
        self, envs: NDArray[np.int32], steps: NDArray[np.uint32], command: int
    ) -> None: ...
    def wait_ready(
        self, min_count: int, timeout: float | None
    ) -> tuple[NDArray[np.int32], NDArray[np.int32]]: ...
    def expect_worker(self, env: int, pid: int) -> None: ...
    def reclaim(self, env: int) -> None: ...
    def state(self, env: int) -> int: ...

class WorkerSlot:
    """The environment's side of one slot."""

    def __init__(self, buffer: RolloutBuffer, env: int) -> None: ...
    def wait_action(self, timeout: float | None) -> tuple[int, int] | None: ...
    def finish_step(self) -> None: ...
    def leave(self) -> None: ...
    @property
    def env(self) -> int: ...

# --- gae ---

def compute_gae(
    rewards: NDArray[np.float32],
    values: NDArray[np.float32],
    terminated: NDArray[Any],
    truncated: NDArray[Any],
    final_values: NDArray[np.float32],
    gamma: float,
    gae_lambda: float,
    advantages: NDArray[np.float32] | None = None,
    returns: NDArray[np.float32] | None = None,
    truncation_is_terminal: bool = False,
    num_threads: int = 0,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]: ...
def compute_gae_segments(
    rewards: NDArray[np.float32],
    values: NDArray[np.float32],
    terminated: NDArray[Any],
    truncated: NDArray[Any],
    final_values: NDArray[np.float32],
    offsets: NDArray[np.int64],
    bootstrap_values: NDArray[np.float32],
    gamma: float,
    gae_lambda: float,
    advantages: NDArray[np.float32] | None = None,
    returns: NDArray[np.float32] | None = None,
    truncation_is_terminal: bool = False,
    num_threads: int = 0,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]: ...
