"""A run of behaviour cloning: data in, metrics and checkpoints out, evaluated on the way."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from flare.agent import AgentConfig
from flare.assembly import TaskConfig, WorldConfig, load_house_file, make_sampler, make_worlds
from flare.checkpoint import Checkpoint, save_checkpoint
from flare.config import to_dict
from flare.console import Console, Stage
from flare.data.file_windows import FileWindows
from flare.data.loader import WindowLoader
from flare.evaluation.evaluate import evaluate_policy, freeze_episodes
from flare.imitation.demonstrations import Demonstrations
from flare.metrics import MetricsLog
from flare.recipes.cloning import Cloner, WindowSource
from flare.recipes.train_state import TrainState
from flare.run_folder import RunFolder

_SCALER = "scaler."  # prefix of the loss scale among a checkpoint's tensors


@dataclass(kw_only=True)
class CloneRun:
    """One process of a run; rank 0 writes and evaluates."""

    agent: AgentConfig
    cloner: Cloner
    source: WindowSource
    processors: dict[str, bytes]
    recipe: object  # the command's configuration, for the checkpoint
    world: WorldConfig
    task: TaskConfig
    run: RunFolder | None  # of rank 0
    console: Console

    def __post_init__(self) -> None:
        self.state = TrainState(
            stage="pretrain",
            policy=self.cloner.policy,
            optimizer=self.cloner.optimizer,
            seed=self.cloner.seed,
        )
        self._evaluate: Callable[[], float] | None = None

    def resume(self, checkpoint: Checkpoint) -> None:
        """Go on as if nothing had happened: data, dropout and rates follow from the step alone."""
        self.state.from_checkpoint(checkpoint)
        scaler = {
            name.removeprefix(_SCALER): value.item()
            for name, value in self.state.tensors.items()
            if name.startswith(_SCALER)
        }
        if scaler:
            self.cloner.scaler.load_state_dict(scaler)

    def train(self, stage: Stage, should_stop: Callable[[], bool]) -> bool:
        """Steps until the budget is spent (True) or some process is asked to stop (False)."""
        config, state = self.cloner.config, self.state
        stage.resume_at(state.step)
        batches = self.source.batches(
            state.step * config.accumulate,
            lambda number: number / (config.num_steps * config.accumulate),
        )
        metrics = None
        if self.run is not None:
            metrics = MetricsLog.resume(
                self.run.metrics, stage="pretrain", iteration=state.step,
                events=self.run.tensorboard,
            )  # fmt: skip
        try:
            while state.step < config.num_steps and not self._any(should_stop()):
                passes = list(islice(batches, config.accumulate))
                stats = self.cloner.step(state.step, passes)
                state.step += 1
                stage.update(advance=1, note=f"loss {stats['imitation_loss']:.3f}")
                self._after(stats, metrics)
        finally:
            batches.close()  # type: ignore[attr-defined]
            if metrics is not None:
                metrics.close()
        self.save()
        return state.step >= config.num_steps

    def _after(self, stats: dict[str, float], metrics: MetricsLog | None) -> None:
        """What some steps are followed by, on rank 0: a line, a checkpoint, an evaluation."""
        config, step = self.cloner.config, self.state.step
        if metrics is None:
            return
        record: dict[str, Any] = dict(stats)
        is_due = config.eval_every and step % config.eval_every == 0
        if is_due:
            record["success_rate"] = self.evaluate()
            self.console.message(f"step {step}: success {record['success_rate']:.1%}")
        if is_due or step % config.log_every == 0:
            metrics.append({"stage": "pretrain", "iteration": step, "step": step, **record})
        if step % config.checkpoint_every == 0 or is_due:
            self.save(record.get("success_rate"))

    def save(self, success: float | None = None) -> Path | None:
        """Write a checkpoint (rank 0), best if it is; a step that has one gets none."""
        if self.run is None:
            return None
        place = self.run.checkpoints / f"{self.state.step:09d}"
        if place.is_dir():
            return place
        best = success is not None and success > self.state.best
        if best and success is not None:
            self.state.best = success
        scaler = self.cloner.scaler.state_dict()
        self.state.tensors = {_SCALER + name: torch.tensor(value) for name, value in scaler.items()}
        checkpoint = self.state.to_checkpoint(
            policy=to_dict(self.agent),
            recipe=to_dict(self.recipe),
            metrics={} if success is None else {"success_rate": success},
        )
        checkpoint = replace(checkpoint, processors=self.processors)
        return save_checkpoint(self.run.path, checkpoint, best=best)

    def evaluate(self) -> float:
        """Success of the policy, sampling, on the same episodes each time."""
        if self._evaluate is None:
            self._evaluate = self._evaluation()
        return self._evaluate()

    def _evaluation(self) -> Callable[[], float]:
        config, agent = self.cloner.config, self.agent
        assert config.eval_houses is not None  # CloningConfig asks for it
        world = replace(self.world, camera=agent.camera, action_names=agent.action_names)
        houses = load_house_file(config.eval_houses, num_threads=world.threads, assets=world.assets)
        sampler = replace(self.task.sampler, camera_noise=False, randomise=())
        task = replace(self.task, max_steps=agent.max_steps, sampler=sampler)
        mixture = task.build(is_evaluation=True)
        mixture.check_actions(agent.action_names)
        worlds = make_worlds(houses, world)
        frozen = freeze_episodes(
            worlds, make_sampler(houses, task, self.cloner.seed, mixture=mixture),
            config.eval_episodes,
        )  # fmt: skip
        assert frozen is not None  # nothing stops it

        def run() -> float:
            result = evaluate_policy(
                self.cloner.acting_policy(), worlds, mixture, frozen,
                agent.vocabulary(self.processors), stage="pretrain", split="val",
                houses=houses, seed=self.cloner.seed,
            )  # fmt: skip
            assert result is not None  # nothing stops it
            return result.success_rate

        return run

    def _any(self, stop: bool) -> bool:
        """Whether any process was asked to stop, so that all stop after the same step."""
        flag = torch.tensor([float(stop)], device=self.cloner.device)
        self.cloner.ranks.add(flag)
        return bool(flag.item())


def open_windows(
    path: Path, agent: AgentConfig, cloner: Cloner, tell: Callable[[str], None]
) -> WindowSource:
    """Windows of a demonstration file, or of a folder of trajectories.

    Raises:
        UserError: neither, or frames that the policy does not see.
    """
    config, camera = cloner.config, agent.camera
    ranks = {"rank": cloner.ranks.rank, "num_ranks": cloner.ranks.count}
    if path.is_dir():
        return WindowLoader(
            path, config.data, batch_size=config.batch_size, seed=cloner.seed,
            num_cameras=camera.num_cameras, size=(camera.height, camera.width), tell=tell, **ranks,
        )  # fmt: skip
    data = Demonstrations.load(path)
    data.check_frames(camera.frame_shape, path)
    return FileWindows(
        data, config.data.window, batch_size=config.batch_size, seed=cloner.seed, **ranks
    )
