"""Collects rollouts: T steps of N worlds into the shared buffer, frames written in place."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flare.errors import UserError, require, user_error_types
from flare.policy.captured_act import fastest_act
from flare.policy.captured_encode import fastest_encode
from flare.policy.kv_cache import KVPrefix, SharedCounterCache
from flare.policy.observation import Observation
from flare.policy.policy import Policy
from flare.rng import keyed_uniform
from flare.rollout.buffers import RolloutBuffer
from flare.rollout.gae import compute_gae
from flare.rollout.rollout import FinishedEpisode, Rollout, discard_faulted, rollout_specs
from flare.tasks.episode_sensors import EpisodeSensors
from flare.tasks.mixture import Shaping
from flare.tasks.privileged import privileged_features
from flare.tasks.sampler import EpisodeSampler
from flare.tasks.task import Judgement
from flare.tasks.tokenizer import Tokenizer
from flare.timing import Timer
from flare.worlds.world import LoadsAhead, Worlds

_ACTION_DRAW = 1  # which random number of a key chooses the action
_SHAPING = "shaping."  # prefix of its names in the state


@dataclass(frozen=True, kw_only=True, slots=True)
class CollectorConfig:
    """How rollouts are collected."""

    num_steps: int = 64  # T, steps of each world per rollout
    memory: str = (
        "carry"  # "reset": context starts at each rollout; "carry": keys of earlier rollouts
    )
    gamma: float = 0.99
    gae_lambda: float = 0.95
    truncation_is_terminal: bool = False  # True: the original's treatment of the step limit
    # True: the original's off-by-one after an episode that the limit ended, see EpisodeSensors. The
    # update attends as the original's does; in acting, memories still end with their episodes.
    compat_sensors: bool = False
    augment: bool = False  # frames are augmented, alike from an episode's start to its end

    def __post_init__(self) -> None:
        require(
            self.memory in ("reset", "carry"),
            "collector.memory",
            self.memory,
            "use 'reset' or 'carry'",
        )
        require(self.num_steps >= 1, "collector.num_steps", self.num_steps, "use at least 1")
        for name in ("gamma", "gae_lambda"):
            value = getattr(self, name)
            require(0 <= value <= 1, f"collector.{name}", value, "use a number from 0 to 1")


_LEARNT = ("action", "log_prob", "value", "advantage", "return", "valid")  # read by the update
_FRAMES = 1024  # steps that values are computed of at once: keeps activations in bounds


class Collector:
    """Owns the running episodes of N worlds and fills the rollout buffer."""

    def __init__(
        self,
        *,
        worlds: Worlds,
        sampler: EpisodeSampler,
        policy: Policy,
        vocabulary: Tokenizer,
        config: CollectorConfig,
        on_episode: Callable[[FinishedEpisode], None],
        first_env: int = 0,
    ) -> None:
        """first_env: number of the first world among those of all processes; keys what is drawn."""
        self.worlds, self.mixture, self.sampler = worlds, sampler.mixture, sampler
        self.policy, self.vocabulary, self.config = policy, vocabulary, config
        self._done = worlds.action_names.index("done")
        self.on_episode = on_episode
        self._ids = first_env + np.arange(worlds.num_envs)
        self.device = policy.device
        n, t = worlds.num_envs, config.num_steps
        specs = rollout_specs(
            t,
            n,
            worlds.camera.frame_shape,
            vocabulary.max_words,
            worlds.facts_dtype,
        )
        self.buffer = RolloutBuffer.create(specs, num_envs=n)
        if self.device.type == "cuda":
            self.buffer.pin()
        self._arrays = {spec.name: self.buffer.array(spec.name) for spec in specs}
        self._tensors = {
            spec.name: self.buffer.tensor(spec.name)
            for spec in specs
            if spec.name not in ("facts", "frames")
        }
        self._features = torch.zeros(
            (t + 1, n, policy.num_features), dtype=policy.feature_dtype, device=self.device
        )
        self.cache = policy.new_cache(n, max_len=self.mixture.max_steps)
        self._act = fastest_act(policy, self.cache)
        self._encode_frames = fastest_encode(policy)
        # A critic tower that remembers nothing beyond a rollout stays out of it: its values come
        # from one pass over the whole, as the update will compute them.
        self._is_critic_late = (
            policy.config.critic == "tower"
            and config.memory == "reset"
            and not isinstance(self.cache, SharedCounterCache)
        )
        self.calls = 0  # steps of all worlds together so far
        self.episode = np.zeros(n, np.int64)  # per env, counts the episodes it has begun before
        self.shaping = Shaping(self.mixture, n)
        self.sensors = EpisodeSensors.create(n, compat=config.compat_sensors)
        self._target_types = [""] * n
        self._shortest = np.zeros(n, np.float32)
        self._reward_sum = np.zeros(n, np.float64)

    def byte_plan(self) -> dict[str, int]:
        """Bytes of what a rollout is kept in, which is all allocated."""
        frames = self._arrays["frames"].nbytes
        cached = (self.cache.keys, self.cache.values)
        return {
            "frames": frames,
            "other steps' arrays": self.buffer.num_bytes - frames,
            "features": self._features.nbytes,
            "keys and values": sum(array.nbytes for array in cached),
        }

    def start(self) -> None:
        """Begin the first episode of every world, at slot 0."""
        self._begin(np.arange(self.worlds.num_envs), slot=0)

    def _begin(self, envs: NDArray[np.int64], slot: int) -> None:
        """Start the episode that self.episode names in the listed envs; observations go to slot."""
        a = self._arrays
        episodes = self.sampler.sample(self._ids[envs], self.episode[envs])
        self.worlds.reset(
            envs.astype(np.int32), episodes.specs, a["frames"][slot], a["facts"][slot]
        )
        if isinstance(self.worlds, LoadsAhead):
            coming = self.sampler.sample(self._ids[envs], self.episode[envs] + 1)
            self.worlds.announce(envs.astype(np.int32), coming.specs)
        self.shaping.begin(envs, a["facts"][slot])
        a["tokens"][slot, envs] = self.vocabulary.encode(episodes.instructions)
        self._describe(envs, slot)
        a["prev_action"][slot, envs] = self.policy.num_actions
        self._shortest[envs] = episodes.shortest_paths
        self._reward_sum[envs] = 0.0
        for env, target_type in zip(envs, episodes.target_types, strict=True):
            self._target_types[env] = target_type

    def _describe(self, envs: NDArray[np.int64], slot: int) -> None:
        """Numbers derived from the facts of one slot."""
        a = self._arrays
        facts = a["facts"][slot, envs]
        a["privileged"][slot, envs] = privileged_features(facts)
        a["in_hand"][slot, envs] = facts["held_object"] >= 0
        a["time_step"][slot, envs] = self.sensors.time_step[envs]
        a["traj_index"][slot, envs] = self.sensors.traj_index[envs]

    def _observation(self, index: int | slice) -> Observation:
        """Slots as they lie: features on the policy's device, the rest in shared memory."""
        t = self._tensors
        return Observation(
            features=self._features[index],
            tokens=t["tokens"][index],
            prev_action=t["prev_action"][index],
            in_hand=t["in_hand"][index],
            time_step=t["time_step"][index],
            facts=t["privileged"][index],
        )

    def _encode(self, slot: int, envs: NDArray[np.int64] | None = None) -> None:
        frames = (
            self._arrays["frames"][slot] if envs is None else self._arrays["frames"][slot, envs]
        )
        draws = None
        if self.config.augment:
            chosen = np.arange(self.worlds.num_envs) if envs is None else envs
            draws = self.policy.draw_augmentations(
                self.sampler.seed, self._ids[chosen], self.episode[chosen], call=self.calls
            )
        if envs is None:
            self._features[slot] = self._encode_frames(torch.from_numpy(frames), draws)
        else:
            features = self.policy.encode_frames(torch.from_numpy(frames), draws)
            self._features[slot, torch.from_numpy(envs)] = features

    @torch.no_grad()
    def collect(self, timer: Timer) -> Rollout:
        """One rollout of T steps from the current state of every world."""
        a, envs = self._arrays, np.arange(self.worlds.num_envs)
        if self.config.memory == "reset":
            self.cache.restart()
        prefix = self.cache.prefix() if self.config.memory == "carry" else None
        for t in range(self.config.num_steps):
            with timer("infer"):
                self._encode(t)
                self.calls += 1
                uniforms = keyed_uniform(
                    self.sampler.seed, self._ids, self.episode, a["facts"][t]["step"], _ACTION_DRAW
                )
                out = self._act(
                    self._observation(t), torch.from_numpy(uniforms),
                    with_value=not self._is_critic_late,
                )  # fmt: skip
                self._tensors["action"][t] = out.action
                self._tensors["log_prob"][t] = out.log_prob
                self._tensors["value"][t] = out.value
            with timer("simulate"):
                # Where the episode is done the next one's first frame is drawn over this one.
                draw = a["action"][t] != self._done
                self.worlds.step(a["action"][t], a["frames"][t + 1], a["facts"][t + 1], draw)
                faulted, facts = self.worlds.faulted, a["facts"][t + 1]
                facts[faulted] = a["facts"][t][faulted]  # what a failed world wrote is no fact
                a["valid"][t] = ~faulted
                judged = discard_faulted(self.mixture.judge(facts), faulted)
                shaped = np.where(faulted, np.float32(0), self.shaping.reward(facts))
                a["reward"][t] = judged.reward + shaped
                self._reward_sum += a["reward"][t]
                a["terminated"][t], a["truncated"][t] = judged.terminated, judged.truncated
                a["tokens"][t + 1], a["prev_action"][t + 1] = a["tokens"][t], a["action"][t]
                self.sensors.advance(facts["step"])
                self._describe(envs, t + 1)
            self._end_episodes(t, judged, timer)
        with timer("infer"):
            self._encode(self.config.num_steps)
            if self._is_critic_late:
                self._evaluate_rollout()
            else:
                last = self._observation(self.config.num_steps).to(self.device)
                ids = torch.from_numpy(envs)
                self._tensors["value"][-1] = self.policy.value(last, self.cache, ids)
        return self._finish(prefix, timer)

    def _end_episodes(self, t: int, judged: Judgement, timer: Timer) -> None:
        """Values of cut episodes, then the next episode in every world whose episode ended."""
        valid = self._arrays["valid"][t]
        cut = np.flatnonzero(judged.truncated & valid)
        if len(cut):
            with timer("infer"):
                self._encode(t + 1, cut)
                ids = torch.from_numpy(cut)
                if self._is_critic_late:
                    value = self._values(t + 2, ids)[-1]
                else:
                    obs = self._observation(t + 1).select(ids).to(self.device)
                    value = self.policy.value(obs, self.cache, ids)
                self._tensors["final_value"][t, ids] = value.cpu()
        ended = np.flatnonzero(judged.terminated | judged.truncated)
        if len(ended) == 0:
            return
        with timer("simulate"):
            for env in ended[valid[ended]]:
                self.on_episode(self._record(int(env), t, judged))
            self.cache.reset(torch.from_numpy(judged.terminated | judged.truncated))
            self.episode[ended] += 1
            self.sensors.begin(ended, judged.truncated[ended])
            self._begin(ended, slot=t + 1)

    def _values(self, num_slots: int, env_ids: Tensor) -> Tensor:
        """Values [num_slots, n] of the first slots of some environments, as the update has them."""
        obs = self._observation(slice(0, num_slots)).select_envs(env_ids).to(self.device)
        starts = self._episode_starts(num_slots)[:, env_ids]
        return self.policy.evaluate_values(obs, starts.to(self.device))

    def _evaluate_rollout(self) -> None:
        """Values of every step and of the observation behind the last, some environments a time."""
        slots = self.config.num_steps + 1
        for ids in torch.split(torch.arange(self.worlds.num_envs), max(1, _FRAMES // slots)):
            self._tensors["value"][:, ids] = self._values(slots, ids).cpu()

    def _record(self, env: int, t: int, judged: Judgement) -> FinishedEpisode:
        fact = self._arrays["facts"][t + 1, env]
        return FinishedEpisode(
            env=int(self._ids[env]),
            episode=int(self.episode[env]),
            house=int(fact["house"]),
            task=self.mixture.task_of(int(fact["task"])).name,
            target_type=self._target_types[env],
            success=bool(judged.success[env]),
            end="done" if judged.terminated[env] else "limit",
            length=int(fact["step"]),
            reward_sum=float(self._reward_sum[env]),
            shortest_path=float(self._shortest[env]),
            travelled=float(fact["travelled"]),
            rooms_visited=int(fact["rooms_seen"]).bit_count(),
        )

    def _finish(self, prefix: KVPrefix | None, timer: Timer) -> Rollout:
        a, tensors, steps = self._arrays, self._tensors, self.config.num_steps
        with timer("gae"):
            compute_gae(
                a["reward"],
                a["value"],
                a["terminated"],
                a["truncated"],
                a["final_value"],
                self.config.gamma,
                self.config.gae_lambda,
                advantages=a["advantage"],
                returns=a["return"],
                valid=a["valid"],
                truncation_is_terminal=self.config.truncation_is_terminal,
            )
        there = {name: tensors[name].to(self.device, non_blocking=True) for name in _LEARNT}
        return Rollout(
            obs=self._observation(slice(0, steps)).to(self.device),
            actions=there["action"],
            log_probs=there["log_prob"],
            values=there["value"][:steps],
            advantages=there["advantage"],
            returns=there["return"],
            episode_start=self._episode_starts(steps).to(self.device),
            valid=there["valid"],
            prefix=prefix,
        )

    def _episode_starts(self, num_slots: int) -> Tensor:
        """[num_slots, N] bool: where the trajectory's number is new, or its first observation."""
        index = self._tensors["traj_index"][:num_slots]
        starts = self._tensors["time_step"][:num_slots] == 0
        starts[1:] |= index[1:] != index[:-1]
        return starts

    def rewind(self) -> None:
        """The last slot becomes slot 0 of the next rollout: the one copy that DESIGN names."""
        for name in ("frames", "facts", "privileged", "tokens", "prev_action", "time_step",
                     "traj_index", "in_hand"):  # fmt: skip
            self._arrays[name][0] = self._arrays[name][-1]

    def state_dict(self) -> dict[str, Tensor]:
        """Everything that the next rollout depends on, as tensors, at a rollout's end."""
        state = {
            "episode": torch.from_numpy(self.episode.copy()),
            "calls": torch.tensor(self.calls),
            "reward_sum": torch.from_numpy(self._reward_sum.copy()),
            "prev_action": self._tensors["prev_action"][0].clone(),
            "worlds": torch.from_numpy(self.worlds.save_state().copy()),
            "time_step": torch.from_numpy(self.sensors.time_step.copy()),
            "traj_index": torch.from_numpy(self.sensors.traj_index.copy()),
        }
        shaping = self.shaping.state_dict()
        state.update({_SHAPING + name: torch.from_numpy(v) for name, v in shaping.items()})
        state.update({f"cache.{k}": v.clone() for k, v in self.cache.state_dict().items()})
        return state

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on where state_dict() was taken: same worlds, same memories, same random numbers."""
        envs = np.arange(self.worlds.num_envs)
        if len(state["episode"]) != len(envs):
            raise UserError(
                f"was saved with {len(state['episode'])} worlds, this run has {len(envs)}",
                key="num_envs",
                mend="resume with the saved number of worlds",
            )
        self.episode = state["episode"].numpy().copy()
        self.calls = int(state["calls"])
        episodes = self.sampler.sample(self._ids, self.episode)
        a = self._arrays
        try:
            self.worlds.restore(
                envs.astype(np.int32), state["worlds"].numpy(), a["frames"][0], a["facts"][0]
            )
        except user_error_types() as error:
            raise UserError(
                f"holds no states of these worlds ({error})",
                key="worlds",
                mend="resume with the flare that saved it, or start a new run from its weights",
            ) from error
        a["tokens"][0] = self.vocabulary.encode(episodes.instructions)
        self._target_types = list(episodes.target_types)
        self._shortest = episodes.shortest_paths
        self.sensors.time_step[:] = state["time_step"].numpy()
        self.sensors.traj_index[:] = state["traj_index"].numpy()
        shaping = {k: v.numpy() for k, v in state.items() if k.startswith(_SHAPING)}
        self.shaping.load_state_dict({k.removeprefix(_SHAPING): v for k, v in shaping.items()})
        self._describe(envs, 0)
        a["prev_action"][0] = state["prev_action"].numpy()
        self._reward_sum = state["reward_sum"].numpy().copy()
        self.cache.load_state_dict(
            {k.removeprefix("cache."): v for k, v in state.items() if k.startswith("cache.")}
        )
