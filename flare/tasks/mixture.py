"""Several tasks as one: each row of facts is judged by the task of its episode."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flare.errors import UserError
from flare.specs import ACTION_NAMES
from flare.tasks.instructions import Vocabulary
from flare.tasks.registry import TAGS, TASK_NAMES
from flare.tasks.shaping import ShapingMemory
from flare.tasks.task import Facts, Judgement, Task


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskMixture:
    """Tasks and how often each is drawn; one task is a mixture of one."""

    tasks: tuple[Task, ...]
    weights: tuple[float, ...]  # one each, in proportion

    def __post_init__(self) -> None:
        names = [task.name for task in self.tasks]
        if not names or len(set(names)) != len(names):
            raise UserError(f"is {names}", key="task.names", mend="name each task once")
        if len(self.weights) != len(names) or not all(0 < w < np.inf for w in self.weights):
            raise UserError(
                f"is {list(self.weights)}", key="task.mixture", mend="give each task a number > 0"
            )

    @classmethod
    def of(cls, *tasks: Task) -> TaskMixture:
        """These tasks, drawn equally often."""
        return cls(tasks=tasks, weights=(1.0,) * len(tasks))

    @property
    def name(self) -> str:
        """Names of the tasks, for files and reports."""
        return "+".join(task.name for task in self.tasks)

    @property
    def max_steps(self) -> int:
        """The longest step limit."""
        return max(task.max_steps for task in self.tasks)

    @property
    def actions(self) -> tuple[str, ...]:
        """What a policy needs for all of them, in the order of the original's logits."""
        wanted = {name for task in self.tasks for name in task.actions}
        return tuple(name for name in ACTION_NAMES if name in wanted)

    @property
    def uses_arm(self) -> bool:
        """Whether a task needs the hand, and with it the manipulation camera."""
        return "pickup" in self.actions

    @property
    def word_order_matters(self) -> bool:
        """Whether a bag of words is not enough to tell two goals apart."""
        return any(task.word_order_matters for task in self.tasks)

    def vocabulary(self, types: tuple[str, ...]) -> Vocabulary:
        """Words of every sentence of these tasks about these object types; empty: all types."""
        texts = (text for task in self.tasks for text in task.vocabulary(types))
        return Vocabulary.of_texts(texts, max(task.max_words for task in self.tasks))

    def task_of(self, tag: int) -> Task:
        """The task with this tag of the registry; KeyError for one that is not in the mixture."""
        return {TAGS[task.name]: task for task in self.tasks}[tag]

    def check_actions(self, action_names: tuple[str, ...]) -> None:
        """Raise UserError unless a policy with these actions can do every task."""
        for task in self.tasks:
            missing = [name for name in task.actions if name not in action_names]
            if missing:
                raise UserError(
                    f"{task.name} needs the action {missing[0]}, which the policy does not have",
                    key="task.names",
                    mend="train a policy on demonstrations of this task",
                )

    def judge(self, facts: Facts) -> Judgement:
        """Judge every row by its own task.

        Raises:
            ValueError: a row of a task that is not in the mixture.
        """
        shape = facts.shape
        reward = np.zeros(shape, np.float32)
        terminated, truncated, success = (np.zeros(shape, np.bool_) for _ in range(3))
        for task, rows in self.rows(facts):
            judged = task.judge(facts[rows])
            reward[rows], success[rows] = judged.reward, judged.success
            terminated[rows], truncated[rows] = judged.terminated, judged.truncated
        return Judgement(reward=reward, terminated=terminated, truncated=truncated, success=success)

    def rows(self, facts: Facts) -> Iterator[tuple[Task, NDArray[np.int64]]]:
        """Each task that occurs with its rows of ``facts`` [N]; together all rows.

        Raises:
            ValueError: a row of a task that is not in the mixture.
        """
        tags, found = facts["task"], 0
        for task in self.tasks:
            rows = np.flatnonzero(tags == TAGS[task.name])
            found += len(rows)
            if len(rows):
                yield task, rows
        if found != len(tags):
            known = {TAGS[task.name] for task in self.tasks}
            odd = next(int(tag) for tag in tags if int(tag) not in known)
            named = TASK_NAMES[odd] if 0 <= odd < len(TASK_NAMES) else str(odd)
            raise ValueError(f"facts of task {named} for a mixture of {self.name}")


class Shaping:
    """Shaping rewards of N worlds; owned by whoever steps them, as it remembers their episodes."""

    def __init__(self, mixture: TaskMixture, num_envs: int) -> None:
        self._mixture = mixture
        is_wanted = any(task.reward.shaping_weight for task in mixture.tasks)
        self._memory = ShapingMemory.create(num_envs) if is_wanted else None

    def begin(self, envs: NDArray[np.int64], facts: Facts) -> None:
        """Episodes began in these of the N worlds; ``facts`` [N] are those of the reset."""
        if self._memory is None:
            return
        for task, rows in self._mixture.rows(facts[envs]):
            self._memory.begin(envs[rows], task.distance(facts[envs[rows]]))

    def reward(self, facts: Facts) -> NDArray[np.float32]:
        """What the step that led to ``facts`` [N] pays beside the task's own reward; [N]."""
        out = np.zeros(len(facts), np.float32)
        if self._memory is None:
            return out
        for task, rows in self._mixture.rows(facts):
            if task.reward.shaping_weight:
                out[rows] = task.shape(self._memory, rows, facts[rows])
        return out

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """What going on exactly needs; empty without shaping."""
        return {} if self._memory is None else self._memory.state_dict()

    def load_state_dict(self, state: dict[str, NDArray[Any]]) -> None:
        """Go on where state_dict() was taken."""
        if self._memory is not None:
            self._memory.load_state_dict(state)
