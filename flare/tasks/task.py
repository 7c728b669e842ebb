"""The contract of a task: facts of N worlds in, reward and ends out, vectorised over worlds."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Facts = NDArray[Any]
"""[...] rows of the structured dtype that csrc/sim/facts.hpp declares."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """What one step meant. All arrays have the shape of the facts they were judged from."""

    reward: NDArray[np.float32]
    terminated: NDArray[np.bool_]  # the task ended by itself: no value after it
    truncated: NDArray[np.bool_]  # a limit cut the episode: the last observation keeps its value
    success: NDArray[np.bool_]  # True only where terminated


class Task(Protocol):
    """One task. Stateless: everything it needs is in the facts of the current step."""

    @property
    def name(self) -> str:
        """Name in configs, episode files and reports."""
        ...

    @property
    def max_steps(self) -> int:
        """Steps after which an episode is truncated."""
        ...

    def judge(self, facts: Facts) -> Judgement:
        """Judge the step that led to ``facts`` ([N] structured rows)."""
        ...
