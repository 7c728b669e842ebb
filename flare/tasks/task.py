"""The contract of a task: facts of N worlds in, reward and ends out, vectorised over worlds."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from flare.errors import UserError
from flare.specs import ACTION_NAMES, NAVIGATION_ACTIONS
from flare.tasks.rewards import RewardConfig
from flare.tasks.scene import Goal, HouseView, Scene
from flare.tasks.shaping import ShapingMemory

Facts = NDArray[Any]
"""[...] rows of the structured dtype that csrc/sim/facts.hpp declares."""

DONE = ACTION_NAMES.index("done")
TRAINING_STEPS, EVALUATION_STEPS = 500, 600  # the original's limits of an episode


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """What one step meant. All arrays have the shape of the facts they were judged from."""

    reward: NDArray[np.float32]  # without shaping, which needs a memory: flare.tasks.shaping
    terminated: NDArray[np.bool_]  # the task ended by itself: no value after it
    truncated: NDArray[np.bool_]  # a limit cut the episode: the last observation keeps its value
    success: NDArray[np.bool_]  # True only where terminated


@dataclass(frozen=True, kw_only=True, slots=True)
class Task(ABC):
    """One task: its goals in a house, its sentences, its success. Stateless over facts.

    An episode ends with ``done``, right or wrong, or is cut at the step limit; nothing else ends
    it. A task says what is particular: ``reached``, ``goals`` and ``sentence``.
    """

    name: ClassVar[str]  # in configs, episode files and reports
    goal_kind: ClassVar[str] = "see"  # one of csrc/sim/facts.hpp kGoalNames: what the expert does
    actions: ClassVar[tuple[str, ...]] = NAVIGATION_ACTIONS  # what a policy needs for it
    evaluation_steps: ClassVar[int] = EVALUATION_STEPS
    max_words: ClassVar[int] = 8  # of its longest sentence, at least
    word_order_matters: ClassVar[bool] = False  # two sentences of the same words mean two goals
    looks_matter: ClassVar[bool] = False  # the sentence names colours: they must stay as they are
    start_turn_deg: ClassVar[float] = 180.0  # a start looks at most this far away from the goal

    max_steps: int = TRAINING_STEPS
    reward: RewardConfig = field(default_factory=RewardConfig)

    def __post_init__(self) -> None:
        if self.max_steps < 1:
            raise UserError(
                f"is {self.max_steps}", key="task.max_steps", mend="use a number of steps >= 1"
            )

    @abstractmethod
    def reached(self, facts: Facts) -> NDArray[np.bool_]:
        """Where ``done`` is right, [N]."""

    @abstractmethod
    def goals(self, scene: Scene, types: tuple[str, ...]) -> list[Goal]:
        """Every goal that this house offers, in an order that depends on the house alone.

        Args:
            scene: the house.
            types: object types that may be targets; empty: all.
        """

    @abstractmethod
    def sentence(self, goal: Goal, draw: int) -> str:
        """The instruction; ``draw``, any integer >= 0, chooses the verbs."""

    @abstractmethod
    def vocabulary(self, types: tuple[str, ...]) -> Iterable[str]:
        """Texts whose words cover every sentence about goals of these types; empty: all types."""

    def starts(
        self, house: HouseView, goal: Goal, nearest: float, farthest: float
    ) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
        """Where an episode may begin.

        Args:
            house: whose ``reachable`` places are judged.
            goal: one of ``goals``.
            nearest: m, shortest walk that an episode may ask for.
            farthest: m, longest.

        Returns:
            [M] whether a start, [M] m to walk from there until the goal can be reached.
        """
        walk = house.geodesic(list(goal.targets))
        return (walk >= nearest) & (walk <= farthest), walk

    def judge(self, facts: Facts) -> Judgement:
        """Judge the step that led to ``facts`` ([N] structured rows)."""
        terminated = facts["last_action"] == DONE
        success = terminated & self.reached(facts)
        truncated = ~terminated & (facts["step"] >= self.max_steps)
        reward = self.reward.of_outcome(terminated, truncated, success)
        if self.reward.collision_penalty:
            reward = reward + self.reward.collision_penalty * (facts["collided"] != 0)
        return Judgement(
            reward=reward.astype(np.float32),
            terminated=terminated,
            truncated=truncated,
            success=success,
        )

    def distance(self, facts: Facts) -> NDArray[np.float64]:
        """m, whose decrease shaping pays, [N]."""
        distance: NDArray[np.float64] = facts["target_distance_3d"].astype(np.float64)
        return distance

    def shape(
        self, memory: ShapingMemory, rows: NDArray[np.int64], facts: Facts
    ) -> NDArray[np.float64]:
        """Shaping reward of one step; only called when shaping_weight is not 0.

        Args:
            memory: of N worlds; the rows are brought up to date.
            rows: [n] which of the N worlds these are.
            facts: [n] their facts after the step.

        Returns:
            [n].
        """
        progress = memory.progress(rows, self.distance(facts))
        failed = (facts["last_action_success"] == 0) & (facts["last_action"] != DONE)
        shaped: NDArray[np.float64] = (
            self.reward.shaping_weight * progress + self.reward.failed_action_penalty * failed
        )
        return shaped

    def metrics(self, fact: Any, actions: tuple[str, ...]) -> dict[str, float]:  # noqa: ANN401 (a structured row)
        """Numbers of an ended episode beside success and length.

        Args:
            fact: the last row.
            actions: names of the actions taken, in order.
        """
        seen = int(fact["rooms_seen"]).bit_count()
        return {"rooms_visited": seen, "share_of_rooms_visited": seen / int(fact["num_rooms"])}

    def path_metrics(self, path: NDArray[np.float32], house: HouseView) -> dict[str, float]:
        """Numbers of an ended episode that its whole path tells; none for most tasks.

        Args:
            path: [n, 2] x, z in m of every position, the start's first.
            house: the episode's.
        """
        return {}
