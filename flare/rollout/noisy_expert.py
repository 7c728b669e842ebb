"""The expert, now and then made to take a wrong step, so that who imitates it sees it recover.

Shortest paths show nothing of what to do off them. As in the published demonstrations, some actions
are replaced by random ones (Laskey et al. 2017, "DART"); what is learnt is what the expert wanted.
"""

import numpy as np
from numpy.typing import NDArray

from flare.errors import require
from flare.rng import keyed_integers, keyed_uniform
from flare.rollout.player import StepView
from flare.tasks.mixture import TaskMixture
from flare.tasks.registry import TAGS
from flare.tasks.sampler import Episodes
from flare.tasks.task import Task
from flare.worlds.world import Worlds

_STREAM = 1  # beside what the world draws by the same seed
_CHANCE, _ACTION = 0, 1  # which random number of a key decides what
# What is not drawn as a move: the wrist stays straight, and nothing is let go.
_NO_MOVES = ("done", "sub_done", "pickup", "dropoff", "wrist_open", "wrist_close")
# The expert takes and reports in the right place only; that one has to go on after a try that came
# too early is seen where noise tries, in a third of its draws.
_TRIES = {"hold": "pickup", "visit_rooms": "sub_done"}  # by the kind of the task's goal


def _pool(task: Task, action_names: tuple[str, ...]) -> NDArray[np.int64]:
    """Action ids to draw from, some of them more than once."""
    moves = [name for name in task.actions if name not in _NO_MOVES]
    tries = [_TRIES[task.goal_kind]] if task.goal_kind in _TRIES else []
    return np.array([action_names.index(name) for name in moves + tries * (len(moves) // 2)])


class NoisyExpert:
    """The world's own expert as an actor; a share of its actions is drawn from moves and tries.

    Draws are keyed by (the episode's own seed, step). ``done`` is never replaced.
    """

    def __init__(
        self, worlds: Worlds, mixture: TaskMixture, episodes: Episodes, share: float
    ) -> None:
        """share: of actions to replace, 0 to below 1."""
        require(0.0 <= share < 1.0, "noise", share, "use 0 to below 1")
        self._worlds, self._share = worlds, share
        self._seeds = episodes.specs["seed"]
        names = worlds.action_names
        self._done = names.index("done")
        self._pools = {TAGS[task.name]: _pool(task, names) for task in mixture.tasks}
        # Of the last act(), [N]: the expert's actions, and where another was drawn.
        self.wanted = np.zeros(worlds.num_envs, np.int64)
        self.is_random = np.zeros(worlds.num_envs, np.bool_)

    def begin(self, worlds: NDArray[np.int64], episodes: NDArray[np.int64]) -> None:
        """Nothing to forget: the expert reads the world's state."""

    def act(self, view: StepView) -> NDArray[np.int64]:
        """Actions [N] to execute."""
        self.wanted = self._worlds.expert_actions()
        key = (self._seeds[np.maximum(view.episode, 0)], _STREAM, 0, view.time_step)
        is_drawn = keyed_uniform(*key, draw=_CHANCE) < self._share
        self.is_random = is_drawn & (self.wanted != self._done)
        drawn = self.wanted.copy()
        for tag, pool in self._pools.items():
            rows = view.facts["task"] == tag
            drawn[rows] = pool[keyed_integers(len(pool), *key, draw=_ACTION)[rows]]
        return np.where(self.is_random, drawn, self.wanted)
