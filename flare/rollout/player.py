"""Plays a given list of episodes over N worlds: evaluation and demonstrations both come from here.

Each world takes the next episode of the list as soon as its own has ended, so no world waits for
another. What an actor does in an episode may depend on that episode only, so the results do not
depend on how many worlds share the work.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from flare.tasks.mixture import Shaping, TaskMixture
from flare.tasks.sampler import Episodes
from flare.tasks.task import Task
from flare.worlds.world import Worlds


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
    metrics: dict[str, float]  # of its task
    trajectory: NDArray[np.float32]  # [length + 1, 3] x m, z m, yaw deg
    actions: NDArray[np.int64]  # [length] policy action ids


class _Recorder:
    """Step-by-step arrays of N running episodes; rows are cut out when an episode ends."""

    def __init__(self, num_envs: int, max_steps: int) -> None:
        self.poses = np.zeros((max_steps + 1, num_envs, 3), np.float32)
        self.actions = np.zeros((max_steps, num_envs), np.int64)
        self.reward_sum = np.zeros(num_envs, np.float64)
        self.collisions = np.zeros(num_envs, np.int64)
        self.failed_actions = np.zeros(num_envs, np.int64)
        self.first_seen = np.full(num_envs, -1, np.int64)

    def begin(self, worlds: NDArray[np.int64], facts: NDArray[Any]) -> None:
        self.reward_sum[worlds] = 0.0
        self.collisions[worlds] = 0
        self.failed_actions[worlds] = 0
        self.first_seen[worlds] = -1
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
        seen = (rows["target_in_view"] != 0) & (self.first_seen[worlds] < 0)
        self.first_seen[worlds[seen]] = step[seen]

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
        first_seen = int(self.first_seen[world])
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
            first_seen=first_seen if first_seen >= 0 else None,
            metrics=task.metrics(fact, tuple(action_names[action] for action in actions)),
            trajectory=self.poses[: length + 1, world].copy(),
            actions=actions,
        )


def play_episodes(
    worlds: Worlds,
    mixture: TaskMixture,
    episodes: Episodes,
    actor: Actor,
    *,
    num_actions: int,
    on_step: Callable[[StepView, NDArray[np.int64]], None] | None = None,
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
        on_episode: called once per ended episode, in the order of their ends.
        should_stop: asked once a step; True leaves the remaining episodes unplayed.

    Returns:
        The played episodes, sorted by index; shorter than the list only after should_stop.
    """
    n, total = worlds.num_envs, len(episodes.specs)
    done_id = worlds.action_names.index("done")
    frames = np.zeros((n, *worlds.camera.frame_shape), np.uint8)
    facts = np.zeros(n, worlds.facts_dtype)
    recorder = _Recorder(n, mixture.max_steps)
    shaping = Shaping(mixture, n)
    episode = np.full(n, -1, np.int64)
    prev_action = np.full(n, num_actions, np.int64)
    played: list[PlayedEpisode] = []
    upcoming = 0

    def begin(free: NDArray[np.int64]) -> None:
        nonlocal upcoming
        take = free[: total - upcoming]
        episode[free] = -1
        if len(take) == 0:
            return
        chosen = np.arange(upcoming, upcoming + len(take))
        upcoming += len(take)
        episode[take] = chosen
        prev_action[take] = num_actions
        worlds.reset(take.astype(np.int32), episodes.specs[chosen], frames, facts)
        shaping.begin(take, facts)
        recorder.begin(take, facts)
        actor.begin(take, chosen)

    if total < n:  # worlds without an episode still step; give them one whose results are dropped
        spare = np.arange(total, n, dtype=np.int32)
        worlds.reset(spare, np.repeat(episodes.specs[:1], n - total), frames, facts)
    begin(np.arange(n))
    while (episode >= 0).any():
        time_step = facts["step"].astype(np.int64)
        view = StepView(frames, facts, prev_action, episode, time_step)
        actions = np.where(episode >= 0, actor.act(view), done_id)
        if on_step is not None:
            on_step(view, actions)
        worlds.step(actions, frames, facts)
        active = np.flatnonzero(episode >= 0)
        judged = mixture.judge(facts)
        recorder.step(active, actions, facts, judged.reward + shaping.reward(facts))
        prev_action[active] = actions[active]
        ended = active[(judged.terminated | judged.truncated)[active]]
        for world in ended:
            end = "done" if judged.terminated[world] else "limit"
            record = recorder.finish(
                int(world), int(episode[world]), facts[world],
                mixture.task_of(int(facts["task"][world])), worlds.action_names,
                bool(judged.success[world]), end,
            )  # fmt: skip
            played.append(record)
            if on_episode is not None:
                on_episode(record)
        begin(ended)
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
