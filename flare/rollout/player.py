"""Plays a given list of episodes over N worlds: evaluation and demonstrations both come from here.

Each world takes the next episode of the list as soon as its own has ended, so no world waits for
another. What an actor does in an episode may depend on that episode only, so the results do not
depend on how many worlds share the work, nor on worlds that fail: what such a one was playing is
played again from its start.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from flare.errors import UserError
from flare.tasks.mixture import Shaping, TaskMixture
from flare.tasks.sampler import Episodes
from flare.tasks.task import Judgement, Task
from flare.worlds.world import LoadsAhead, Worlds

_MOST_TRIES = 3  # of one episode, whose world fails each time


@dataclass(frozen=True, slots=True)
class StepView:
    """What an actor may look at: the current observation of every world, rows in world order."""

    frames: NDArray[np.uint8]  # [N, C, H, W, 3]
    facts: NDArray[Any]  # [N] structured
    prev_action: NDArray[np.int64]  # [N], num_actions before the first action
    episode: NDArray[np.int64]  # [N] index in the list, -1 where the world has nothing to play
    time_step: NDArray[np.int64]  # [N]


class Actor(Protocol):
    """Chooses actions for N worlds."""

    def begin(self, worlds: NDArray[np.int64], episodes: NDArray[np.int64]) -> None:
        """Episodes start in these worlds: forget what came before there."""
        ...

    def act(self, view: StepView) -> NDArray[np.int64]:
        """Policy action ids [N]; rows without an episode are ignored."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class PlayedEpisode:
    """What happened in one episode."""

    episode: int  # index in the list
    task: str
    success: bool
    end: str  # "done" or "limit"
    length: int  # actions
    reward_sum: float
    travelled: float  # m
    collisions: int
    failed_actions: int  # as the original counts them: every pickup is one, and a wrong done
    first_seen: int | None  # step at which a target first was in the image, at any distance
    first_visible: int | None  # step at which one first was visible from within 2 m
    first_held: int | None  # step at which one first was in the hand
    metrics: dict[str, float]  # of its task
    trajectory: NDArray[np.float32]  # [length + 1, 3] x m, z m, yaw deg
    actions: NDArray[np.int64]  # [length] policy action ids


# Facts whose first step is kept, and what it is called.
_FIRST = {"target_in_view": "first_seen", "target_visible": "first_visible",
          "holds_target": "first_held"}  # fmt: skip


class _Recorder:
    """Step-by-step arrays of N running episodes; rows are cut out when an episode ends."""

    def __init__(self, num_envs: int, max_steps: int) -> None:
        self.poses = np.zeros((max_steps + 1, num_envs, 3), np.float32)
        self.actions = np.zeros((max_steps, num_envs), np.int64)
        self.reward_sum = np.zeros(num_envs, np.float64)
        self.collisions = np.zeros(num_envs, np.int64)
        self.failed_actions = np.zeros(num_envs, np.int64)
        # First steps at which a fact about the targets held, -1 before.
        self.first = {fact: np.full(num_envs, -1, np.int64) for fact in _FIRST}

    def begin(self, worlds: NDArray[np.int64], facts: NDArray[Any]) -> None:
        self.reward_sum[worlds] = 0.0
        self.collisions[worlds] = 0
        self.failed_actions[worlds] = 0
        for first in self.first.values():
            first[worlds] = -1
        self._observe(worlds, facts)

    def step(
        self,
        worlds: NDArray[np.int64],
        actions: NDArray[np.int64],
        facts: NDArray[Any],
        reward: NDArray[np.float32],
    ) -> None:
        self.actions[facts["step"][worlds] - 1, worlds] = actions[worlds]
        self.reward_sum[worlds] += reward[worlds]
        self.collisions[worlds] += facts["collided"][worlds]
        self.failed_actions[worlds] += facts["last_action_success"][worlds] == 0
        self._observe(worlds, facts)

    def _observe(self, worlds: NDArray[np.int64], facts: NDArray[Any]) -> None:
        rows = facts[worlds]
        step = rows["step"]
        self.poses[step, worlds, 0] = rows["position"][:, 0]
        self.poses[step, worlds, 1] = rows["position"][:, 2]
        self.poses[step, worlds, 2] = rows["yaw_deg"]
        for fact, first in self.first.items():
            now = (rows[fact] != 0) & (first[worlds] < 0)
            first[worlds[now]] = step[now]

    def finish(
        self,
        world: int,
        episode: int,
        fact: Any,  # noqa: ANN401 (a structured row)
        task: Task,
        action_names: tuple[str, ...],
        success: bool,
        end: str,
    ) -> PlayedEpisode:
        length = int(fact["step"])
        first = {name: int(steps[world]) for name, steps in self.first.items()}
        actions = self.actions[:length, world].copy()
        return PlayedEpisode(
            episode=episode,
            task=task.name,
            success=success,
            end=end,
            length=length,
            reward_sum=float(self.reward_sum[world]),
            travelled=float(fact["travelled"]),
            collisions=int(self.collisions[world]),
            failed_actions=int(self.failed_actions[world]),
            **{name: first[fact] if first[fact] >= 0 else None for fact, name in _FIRST.items()},
            metrics=task.metrics(fact, tuple(action_names[action] for action in actions)),
            trajectory=self.poses[: length + 1, world].copy(),
            actions=actions,
        )


class _Session:
    """N worlds, the episodes they are playing and what is left of the list."""

    def __init__(
        self,
        worlds: Worlds,
        mixture: TaskMixture,
        episodes: Episodes,
        actor: Actor,
        num_actions: int,
        on_observation: Callable[[StepView, NDArray[np.int64]], None] | None,
    ) -> None:
        self._on_observation = on_observation
        self._worlds, self._mixture, self._episodes = worlds, mixture, episodes
        self._actor, self._no_action = actor, num_actions
        self.done = worlds.action_names.index("done")  # its id
        n = worlds.num_envs
        self._frames = np.zeros((n, *worlds.camera.frame_shape), np.uint8)
        self._facts = np.zeros(n, worlds.facts_dtype)
        self._recorder, self._shaping = _Recorder(n, mixture.max_steps), Shaping(mixture, n)
        self._episode = np.full(n, -1, np.int64)
        self._prev_action = np.full(n, num_actions, np.int64)
        self._tries = np.zeros(n, np.int64)  # of the world's episode that failed
        self._upcoming = 0
        spare = np.arange(len(episodes.specs), n, dtype=np.int32)
        if len(spare):  # they step all the same; give them an episode whose results are dropped
            specs = np.repeat(episodes.specs[:1], len(spare))
            worlds.reset(spare, specs, self._frames, self._facts)
        self.begin(np.arange(n))

    @property
    def is_over(self) -> bool:
        """Whether every episode has been played."""
        return not bool((self._episode >= 0).any())

    def begin(self, free: NDArray[np.int64]) -> None:
        """The next episodes of the list in these worlds, as far as there are any."""
        take = free[: len(self._episodes.specs) - self._upcoming]
        self._episode[free] = -1
        if len(take) == 0:
            return
        chosen = np.arange(self._upcoming, self._upcoming + len(take))
        self._upcoming += len(take)
        self._tries[take] = 0
        self._start(take, chosen)
        if isinstance(self._worlds, LoadsAhead):
            playing = np.flatnonzero(self._episode >= 0).astype(np.int32)
            ahead = self._episodes.specs[self._upcoming :][: len(playing)]
            self._worlds.announce(playing[: len(ahead)], ahead)

    def _start(self, worlds: NDArray[np.int64], episodes: NDArray[np.int64]) -> None:
        self._episode[worlds] = episodes
        self._prev_action[worlds] = self._no_action
        specs = self._episodes.specs[episodes]
        self._worlds.reset(worlds.astype(np.int32), specs, self._frames, self._facts)
        self._shaping.begin(worlds, self._facts)
        self._recorder.begin(worlds, self._facts)
        self._actor.begin(worlds, episodes)
        self._tell(worlds)

    def _start_again(self, worlds: NDArray[np.int64]) -> None:
        """What these worlds, which failed, were playing."""
        if len(worlds) == 0:
            return
        self._tries[worlds] += 1
        for world in worlds[self._tries[worlds] >= _MOST_TRIES]:
            episode = int(self._episode[world])
            raise UserError(
                f"cannot be played: its world failed {_MOST_TRIES} times, in house "
                f"{int(self._episodes.specs['house'][episode])}",
                key=f"episode {episode}",
                mend="look at what its simulator says, or leave this episode out",
            )
        self._start(worlds, self._episode[worlds])

    def view(self) -> StepView:
        """What the actor may look at now."""
        time_step = self._facts["step"].astype(np.int64)
        return StepView(self._frames, self._facts, self._prev_action, self._episode, time_step)

    def step(self, actions: NDArray[np.int64]) -> list[PlayedEpisode]:
        """Execute one action a world ([N]); the episodes that ended, whose worlds go on."""
        # Nobody looks at what follows a "done", with which worlds without an episode step too.
        self._worlds.step(actions, self._frames, self._facts, actions != self.done)
        is_active, faulted = self._episode >= 0, self._worlds.faulted.copy()
        active = np.flatnonzero(is_active & ~faulted)
        self._prev_action[active] = actions[active]
        self._tell(active)
        judged = self._mixture.judge(self._facts)
        reward = judged.reward + self._shaping.reward(self._facts)
        self._recorder.step(active, actions, self._facts, reward)
        ended = active[(judged.terminated | judged.truncated)[active]]
        records = [self._finish(int(world), judged) for world in ended]
        self._start_again(np.flatnonzero(is_active & faulted))
        self.begin(ended)
        return records

    def _tell(self, worlds: NDArray[np.int64]) -> None:
        if self._on_observation is not None:
            self._on_observation(self.view(), worlds)

    def _finish(self, world: int, judged: Judgement) -> PlayedEpisode:
        return self._recorder.finish(
            world,
            int(self._episode[world]),
            self._facts[world],
            self._mixture.task_of(int(self._facts["task"][world])),
            self._worlds.action_names,
            bool(judged.success[world]),
            "done" if judged.terminated[world] else "limit",
        )


def play_episodes(
    worlds: Worlds,
    mixture: TaskMixture,
    episodes: Episodes,
    actor: Actor,
    *,
    num_actions: int,
    on_step: Callable[[StepView, NDArray[np.int64]], None] | None = None,
    on_observation: Callable[[StepView, NDArray[np.int64]], None] | None = None,
    on_episode: Callable[[PlayedEpisode], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> list[PlayedEpisode]:
    """Play every episode once and return what happened, in the order of the list.

    Args:
        worlds: N worlds over the houses that the specs index.
        mixture: the tasks of the episodes; judges each step.
        episodes: what to play.
        actor: chooses the actions.
        num_actions: the policy's action count; also the id of "no action yet".
        on_step: called with each view and the actions chosen for it, before they are executed.
        on_observation: called after each start and step with what there is to see then and the
            worlds whose rows are new; of each episode also what its last action led to. An
            episode that shows step 0 again is played again: what was told of it before is void.
        on_episode: called once per ended episode, in the order of their ends.
        should_stop: asked once a step; True leaves the remaining episodes unplayed.

    Returns:
        The played episodes, sorted by index; shorter than the list only after should_stop.

    Raises:
        UserError: an episode whose world failed each time it was tried.
    """
    session = _Session(worlds, mixture, episodes, actor, num_actions, on_observation)
    played: list[PlayedEpisode] = []
    while not session.is_over:
        view = session.view()
        actions = np.where(view.episode >= 0, actor.act(view), session.done)
        if on_step is not None:
            on_step(view, actions)
        ended = session.step(actions)
        played.extend(ended)
        if on_episode is not None:
            for record in ended:
                on_episode(record)
        if should_stop is not None and should_stop():
            break
    return sorted(played, key=lambda record: record.episode)


class ExpertActor:
    """The world's own shortest-path expert."""

    def __init__(self, worlds: Worlds) -> None:
        self._worlds = worlds

    def begin(self, worlds: NDArray[np.int64], episodes: NDArray[np.int64]) -> None:
        """Nothing to forget: the expert reads the world's state."""

    def act(self, view: StepView) -> NDArray[np.int64]:
        """The expert's actions [N]."""
        return self._worlds.expert_actions()
