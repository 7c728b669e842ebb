"""A fine-tuning run: collect, update, log, checkpoint, until the budget of steps is spent."""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from flare.agent import AgentConfig
from flare.assembly import (
    WorldConfig,
    check_memory,
    make_sampler,
    open_worlds,
)
from flare.checkpoint import Checkpoint, save_checkpoint
from flare.config import to_dict
from flare.console import Stage
from flare.errors import UserError, require
from flare.kernels.flat_adam import FlatAdam
from flare.metrics import EpisodeLog, MetricsLog, SuccessWindow
from flare.policy.policy import Policy
from flare.ppo.update import Anchor, make_optimizer, ppo_update
from flare.ranks import ALONE, Ranks
from flare.recipes.finetune_config import FinetuneConfig
from flare.recipes.train_state import TrainState
from flare.rollout.collector import Collector
from flare.rollout.rollout import FinishedEpisode
from flare.run_folder import RunFolder
from flare.timing import Timer
from flare.worlds.embedded import House
from flare.worlds.thor.worlds import ThorWorlds

_WINDOW = 500  # episodes of the running success rate
_SKIPPED = "skipped_in_a_row"  # counter of updates with numbers that were not finite
_MOST_SKIPPED = 3


class Finetuner:
    """One fine-tuning run: owns policy, optimizer, collector and counters, and saves them whole."""

    def __init__(
        self,
        *,
        agent: AgentConfig,
        policy: Policy,
        houses: list[House],
        config: FinetuneConfig,
        run: RunFolder,
        processors: dict[str, bytes] | None = None,
        ranks: Ranks = ALONE,
    ) -> None:
        """Open the worlds.

        Args:
            agent: what the policy's weights belong to.
            policy: to fine-tune, in place.
            houses: of the worlds.
            config: settings; of worlds and minibatches for each process.
            run: folder that the first process writes into.
            processors: the starting checkpoint's files, handed on to the new ones.
            ranks: the processes that train together.
        """
        self.ranks = ranks
        check_memory(config.world, config.collector.num_steps)
        require(
            config.ppo.num_minibatches <= config.world.num_envs,
            "ppo.num_minibatches",
            config.ppo.num_minibatches,
            f"use at most {config.world.num_envs}, the number of worlds",
        )
        self.agent, self.config, self.run = agent, config, run
        self.processors = processors or {}
        ppo = config.ppo
        kept, optimizer = _prepare(policy, config)
        self.state = TrainState(
            stage="finetune",
            policy=policy,
            optimizer=optimizer,
            kept=kept,
            seed=config.seed,
            window=SuccessWindow(_WINDOW),
        )
        # A second copy of all weights, in memory and in every checkpoint: only where it is used.
        self.anchor = Anchor(policy) if ppo.anchor_coef or ppo.anchor_coef_end else None
        self.policy = policy
        self.timer = Timer(config.device)
        self._finished: list[FinishedEpisode] = []
        assert config.houses is not None
        self.worlds = open_worlds(houses, _shared_cores(config.world, ranks), config.houses)
        self.collector = Collector(
            worlds=self.worlds,
            sampler=make_sampler(houses, config.task, config.seed),
            policy=policy,
            vocabulary=agent.vocabulary(self.processors),
            config=config.collector,
            on_episode=self._finished.append,
            first_env=ranks.rank * config.world.num_envs,
        )

    def start(self) -> None:
        """Begin a new run."""
        self.collector.start()
        # A demo's log has the lines of imitation before ours; those of a fine-tuning that was
        # killed before its first checkpoint go.
        self._open_logs(iteration=0, episode_lines=0)

    def resume(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint as if nothing had happened."""
        self.state.from_checkpoint(checkpoint)
        tensors = dict(self.state.tensors)
        if self.anchor is not None:
            self.anchor.policy.load_state_dict(_below(tensors, _ANCHOR))
        self.collector.load_state_dict(_below(tensors, _collector_of(self.ranks, tensors)))
        self._open_logs(
            iteration=self.state.iteration, episode_lines=self.state.counters["episode_lines"]
        )

    def _open_logs(self, *, iteration: int, episode_lines: int) -> None:
        """Open both logs behind what the checkpoint knows; UserError if less than that is there."""
        if self.ranks.rank > 0:
            return
        self.episodes = EpisodeLog(self.run.episodes, keep_lines=episode_lines)
        # A checkpoint may come before the first iteration: someone stops at once.
        self.state.counters["episode_lines"] = self.episodes.num_lines
        try:
            self.metrics = MetricsLog.resume(
                self.run.metrics,
                stage="finetune",
                iteration=iteration,
                events=self.run.tensorboard,
            )
        except UserError:
            self.episodes.close()
            raise

    def iterate(self) -> dict[str, Any]:
        """Collect one rollout, update on it, log; returns the metrics record."""
        self.timer.reset()
        state = self.state
        self.policy.eval()
        rollout = self.collector.collect(self.timer)
        with self.timer("update"):
            assert isinstance(state.optimizer, FlatAdam)  # made by __init__
            stats = ppo_update(
                self.policy,
                state.optimizer,
                rollout,
                self.config.ppo,
                progress=state.step / self.config.total_steps,
                step=state.step,
                anchor=self.anchor,
                ranks=self.ranks,
            )
        self.collector.rewind()
        state.iteration += 1
        state.step += rollout.actions.numel() * self.ranks.count
        skipped = state.counters.get(_SKIPPED, 0) + 1 if stats["skipped"] else 0
        state.counters[_SKIPPED] = skipped
        record = self._log(stats)
        if skipped >= _MOST_SKIPPED:
            raise UserError(
                f"a loss or gradient was not finite in {skipped} updates in a row, the last at "
                f"iteration {state.iteration}",
                mend="lower actor_learning_rate and critic_learning_rate, and go on from the last "
                "checkpoint",
            )
        return record

    def byte_plan(self) -> str:
        """What the run holds in memory from its first step to its last, in words."""
        optimizer = self.state.optimizer
        assert isinstance(optimizer, FlatAdam)
        flat = {id(parameter) for parameter in optimizer.masters()}
        others = [p for p in self.policy.parameters() if id(p) not in flat]
        plan = {
            **self.collector.byte_plan(),
            "frozen weights": sum(p.nbytes for p in others),
            "weights, gradients and optimizer": optimizer.num_bytes,
        }
        parts = [f"{name} {size / 1e9:.2f}" for name, size in plan.items()]
        return f"memory: {sum(plan.values()) / 1e9:.2f} GB ({', '.join(parts)})"

    def _log(self, stats: dict[str, float]) -> dict[str, Any]:
        state = self.state
        ended = [episode for own in self.ranks.gather(self._finished) for episode in own]
        self._finished.clear()
        for episode in ended:
            state.window.add(episode.success)
        state.episodes += len(ended)
        self._log_episodes(ended)
        steps = self.config.world.num_envs * self.config.collector.num_steps * self.ranks.count
        record = {
            "stage": "finetune",
            "iteration": state.iteration,
            "step": state.step,
            "episodes": state.episodes,
            "success_rate": state.window.rate,
            "return": mean([episode.reward_sum for episode in ended]),
            "episode_length": mean([float(episode.length) for episode in ended]),
            **stats,
            "time": {
                "sps": steps / self.timer.elapsed,
                "seconds": self.timer.elapsed,
                "split": self.timer.split(),
            },
        }
        if isinstance(self.worlds, ThorWorlds):
            record["worlds"] = self.worlds.summary()
        if self.ranks.rank == 0:
            self.metrics.append(record)
        return record

    def _log_episodes(self, ended: list[FinishedEpisode]) -> None:
        if self.ranks.rank > 0:
            return
        for episode in ended:
            self.episodes.append(asdict(episode))
        self.episodes.sync()
        self.state.counters["episode_lines"] = self.episodes.num_lines

    def save(self) -> Path:
        """Write a checkpoint of everything that the next iteration depends on."""
        state = self.state
        anchor = {} if self.anchor is None else self.anchor.policy.state_dict()
        own = {name: t.cpu() for name, t in self.collector.state_dict().items()}
        state.tensors = {_ANCHOR + name: t for name, t in anchor.items()}
        for rank, tensors in enumerate(self.ranks.gather(own)):
            prefix = _collector_name(rank, self.ranks.count)
            state.tensors.update({prefix + name: t for name, t in tensors.items()})
        best = state.window.count >= _WINDOW and state.window.rate > state.best
        if best:
            state.best = state.window.rate
        checkpoint = state.to_checkpoint(
            policy=to_dict(self.agent),
            recipe=to_dict(self.config),
            metrics={"success_rate": state.window.rate, "episodes": state.episodes},
        )
        checkpoint = replace(checkpoint, processors=self.processors)
        if self.ranks.rank == 0:
            save_checkpoint(self.run.path, checkpoint, best=best)
        self.ranks.gather(None)  # nobody goes on before it is written
        return self.run.path / "checkpoints" / f"{state.step:09d}"

    def train(self, stage: Stage, should_stop: Callable[[], bool]) -> bool:
        """Iterate until the budget is spent (True) or someone asks to stop (False), then save."""
        state, total = self.state, self.config.total_steps
        stage.resume_at(state.step)
        while state.step < total and not any(self.ranks.gather(should_stop())):
            before = state.step
            record = self.iterate()
            if record["skipped"]:
                stage.message(f"iteration {state.iteration}: a loss was not finite; skipped")
            stage.update(
                advance=min(state.step, total) - before,
                success=state.window.interval(),
                sps=record["time"]["sps"],
                split=record["time"]["split"],
            )
            if state.iteration % self.config.checkpoint_every == 0:
                self.save()
        self.save()
        return state.step >= total

    def close(self) -> None:
        """End the worlds and sync the logs; more than once is fine."""
        self.worlds.close()
        if self.ranks.rank == 0:
            self.metrics.close()
            self.episodes.close()


def _prepare(policy: Policy, config: FinetuneConfig) -> tuple[dict[str, Tensor], FlatAdam]:
    """Bring the policy to its device and precision, in place.

    Returns: the exact weights of what is not trained, where the policy only has roundings of them,
        and the optimizer, which has those of the rest.
    """
    policy.to(config.device)
    dtype: torch.dtype = getattr(torch, config.precision)
    before = {name: t.detach().cpu().clone() for name, t in policy.state_dict().items()}
    optimizer = make_optimizer(policy, config.ppo, dtype)
    policy.to(dtype)
    moved, after = optimizer.masters(), policy.state_dict()
    for name, parameter in policy.named_parameters():
        if parameter in moved:
            del before[name]
    kept = {name: t for name, t in before.items() if t.dtype != after[name].dtype}
    return kept, optimizer


_ANCHOR, _COLLECTOR = "anchor.", "collector."  # prefixes of tensor names in a checkpoint


def _collector_name(rank: int, count: int) -> str:
    return _COLLECTOR if count == 1 else f"{_COLLECTOR}{rank}of{count}."


def _collector_of(ranks: Ranks, tensors: Mapping[str, Tensor]) -> str:
    """Prefix of this process' collector among a checkpoint's tensors.

    Raises:
        UserError: it was saved by another number of processes.
    """
    prefix = _collector_name(ranks.rank, ranks.count)
    if f"{prefix}episode" not in tensors:
        raise UserError(
            f"was not saved by {ranks.count} processes",
            key="processes",
            mend="resume with as many as it was saved by, or start a new run from its weights",
        )
    return prefix


def _shared_cores(world: WorldConfig, ranks: Ranks) -> WorldConfig:
    """Worlds that leave the other processes of this machine their cores."""
    if ranks.count == 1 or world.num_threads:
        return world
    return replace(world, num_threads=max(1, world.threads // ranks.per_host))


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with the prefix, without it."""
    return {k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)}


def mean(values: list[float]) -> float:
    """Mean, NaN of nothing (logged as null)."""
    return sum(values) / len(values) if values else math.nan
