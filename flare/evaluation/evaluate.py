"""Evaluates a checkpoint on a frozen list of episodes and writes one JSON line an episode."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flare.evaluation.actor import PolicyActor
from flare.policy.policy import Policy
from flare.replay.log import LogRecorder
from flare.rollout.player import ExpertActor, PlayedEpisode, StepView, play_episodes
from flare.tasks.mixture import TaskMixture
from flare.tasks.sampler import Episodes, EpisodeSampler
from flare.tasks.scene import HouseView
from flare.tasks.tokenizer import Tokenizer
from flare.worlds.world import Worlds

Progress = Callable[[PlayedEpisode], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class FrozenEpisodes:
    """Evaluation episodes that never change again, with the expert's length of each."""

    episodes: Episodes
    expert_lengths: list[int]  # actions of the shortest-path expert; -1 where it failed


def freeze_episodes(
    worlds: Worlds,
    sampler: EpisodeSampler,
    count: int,
    *,
    on_episode: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> FrozenEpisodes | None:
    """Draw evaluation episodes evenly over houses and let the expert walk each once.

    Returns None when ``should_stop``, asked once a step, ended it before the last episode.
    """
    episodes = sampler.sample(np.zeros(count, np.int64), np.arange(count))
    played = play_episodes(
        worlds, sampler.mixture, episodes, ExpertActor(worlds),
        num_actions=len(worlds.action_names), on_episode=on_episode, should_stop=should_stop,
    )  # fmt: skip
    if len(played) < count:
        return None
    lengths = [record.length if record.success else -1 for record in played]
    return FrozenEpisodes(episodes=episodes, expert_lengths=lengths)


@dataclass(slots=True)
class VideoTrace:
    """What one episode looked like, for the report's videos."""

    frames: list[NDArray[np.uint8]]  # [C, H, W, 3] each
    actions: list[int]
    values: list[float]
    action_probs: list[NDArray[np.float32]]


class _Tracer:
    """Keeps frames, values and probabilities of the first few episodes of the list."""

    def __init__(self, actor: PolicyActor, count: int) -> None:
        self._actor, self._count = actor, count
        self.traces: dict[int, VideoTrace] = {}

    def on_step(self, view: StepView, actions: NDArray[np.int64]) -> None:
        wanted = (view.episode >= 0) & (view.episode < self._count)
        for world in np.flatnonzero(wanted):
            episode = int(view.episode[world])
            if view.time_step[world] == 0:  # also where a world failed and its episode begins again
                self.traces[episode] = VideoTrace([], [], [], [])
            trace = self.traces[episode]
            trace.frames.append(view.frames[world].copy())
            trace.actions.append(int(actions[world]))
            trace.values.append(float(self._actor.values[world]))
            trace.action_probs.append(self._actor.probabilities[world].copy())


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """Records of every episode, in list order, and the traces of the first ones."""

    records: list[dict[str, Any]]
    traces: dict[int, VideoTrace]

    @property
    def success_rate(self) -> float:
        """Share of successful episodes."""
        return float(np.mean([record["success"] for record in self.records]))


def evaluate_policy(
    policy: Policy,
    worlds: Worlds,
    mixture: TaskMixture,
    frozen: FrozenEpisodes,
    vocabulary: Tokenizer,
    *,
    stage: str,
    split: str,
    houses: Sequence[HouseView],
    seed: int,
    greedy: bool = False,
    num_traces: int = 0,
    on_episode: Progress | None = None,
    recorder: LogRecorder | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Evaluation | None:
    """Play every frozen episode once with the policy.

    Args:
        policy: in any mode; it is put in eval mode.
        worlds: over the houses that the episodes index.
        mixture: the tasks of the episodes; judges success.
        frozen: the episodes.
        vocabulary: of the policy.
        stage: goes into the records, e.g. "before".
        split: goes into the records, e.g. "val".
        houses: those that the episodes index.
        seed: keys the sampling of actions.
        greedy: take the mode instead of sampling.
        num_traces: of how many episodes, from the first on, frames are kept for videos.
        on_episode: progress hook.
        recorder: keeps what an episode log needs.
        should_stop: asked once a step.

    Returns:
        The records of every episode, or None when should_stop ended it before the last.
    """
    policy.eval()
    episodes = frozen.episodes
    actor = PolicyActor(
        policy, vocabulary, episodes.instructions, num_envs=worlds.num_envs,
        max_steps=mixture.max_steps, seed=seed, greedy=greedy,
    )  # fmt: skip
    tracer = _Tracer(actor, num_traces)
    played = play_episodes(
        worlds, mixture, episodes, actor, num_actions=policy.num_actions,
        on_step=tracer.on_step if num_traces else None, on_episode=on_episode,
        on_observation=recorder.on_observation if recorder else None,
        should_stop=should_stop,
    )  # fmt: skip
    if len(played) < len(episodes.specs):
        return None
    common = {"split": split, "stage": stage}
    records = [common | _record(episode, mixture, frozen, houses) for episode in played]
    return Evaluation(records=records, traces=tracer.traces)


def _record(
    played: PlayedEpisode,
    mixture: TaskMixture,
    frozen: FrozenEpisodes,
    houses: Sequence[HouseView],
) -> dict[str, Any]:
    """One line of the evaluation file."""
    episodes, i = frozen.episodes, played.episode
    spec = episodes.specs[i]
    house = houses[int(spec["house"])]
    task = next(task for task in mixture.tasks if task.name == played.task)
    return {
        "episode": i,
        "house": int(spec["house"]),
        "house_source": house.source,
        "room_count": len(house.rooms()),
        "task": played.task,
        "target_type": episodes.target_types[i],
        "targets": [int(t) for t in spec["targets"][: spec["num_targets"]]],
        "instruction": episodes.instructions[i],
        "success": played.success,
        "end": played.end,
        "length": played.length,
        "expert_length": frozen.expert_lengths[i],
        "shortest_path": round(float(episodes.shortest_paths[i]), 4),
        "travelled": round(played.travelled, 4),
        "return": played.reward_sum,
        "collisions": played.collisions,
        "failed_actions": played.failed_actions,
        "metrics": played.metrics | task.path_metrics(played.trajectory[:, :2], house),
        "first_seen": played.first_seen,
        "first_visible": played.first_visible,
        "first_held": played.first_held,
        "start": [round(float(spec[name]), 4) for name in ("x", "z", "yaw_deg")],
        "trajectory": [[round(float(v), 3) for v in pose] for pose in played.trajectory],
        "actions": [int(action) for action in played.actions],
    }
