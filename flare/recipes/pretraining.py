"""Pre-training of the small policy: its image encoder, then imitation; stopped, it goes on exactly.

On the way the state lies in ``progress/`` of the result's folder; the finished policy is that
folder's checkpoint.
"""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from flare.agent import AgentConfig
from flare.checkpoint import Checkpoint, load_checkpoint, load_weights, save_checkpoint
from flare.config import to_dict
from flare.console import Console, Stage
from flare.imitation.encoded import EncodedDemonstrations
from flare.metrics import MetricsLog
from flare.policy.policy import Policy
from flare.recipes.encoder import EncoderConfig, EncoderTraining, Views
from flare.recipes.imitate import ImitationConfig, ImitationTraining
from flare.recipes.train_state import TrainState
from flare.run_folder import RunFolder

_ENCODER, _IMITATION = 0, 1  # the counter "phase" of a checkpoint
_EXTRA, _SUMS = "extra.", "sums."  # prefixes of a checkpoint's tensors
_SAVE_EVERY = 100  # gradient steps of the encoder between two checkpoints


class _Training(Protocol):
    """What EncoderTraining and ImitationTraining have in common."""

    num_steps: int
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.CosineAnnealingLR

    def step(self, number: int) -> dict[str, float]: ...

    def tensors(self) -> dict[str, Tensor]: ...

    def load_tensors(self, tensors: dict[str, Tensor]) -> None: ...


@dataclass(kw_only=True)
class Pretraining:
    """One pre-training, from the command's configuration or another recipe's."""

    agent: AgentConfig
    encoder: EncoderConfig
    imitation: ImitationConfig
    goal_types: tuple[str, ...]  # categories that the encoder learns to tell apart
    seed: int
    folder: Path  # of the result
    recipe: object  # the command's configuration, for the checkpoint
    should_stop: Callable[[], bool]

    def __post_init__(self) -> None:
        torch.manual_seed(self.seed)
        self.policy: Policy = self.agent.build()
        self._progress = self.folder / "progress"
        self._resumed: Checkpoint | None = None
        if (self._progress / "latest").exists():
            self._resumed = load_checkpoint(self._progress)
            load_weights(self.policy, self._resumed)
            torch.set_rng_state(self._resumed.trainer["torch_rng"])
        self._phase, self._first = self._place()

    @property
    def is_finished(self) -> bool:
        """Whether the result is there."""
        return (self.folder / "latest").exists()

    def _place(self) -> tuple[int, int]:
        """Phase that is at work, and its finished gradient steps."""
        counters = self._resumed.trainer["counters"] if self._resumed else {}
        return int(counters.get("phase", _ENCODER)), int(counters.get("done", 0))

    def run(
        self, views: Callable[[tuple[int, int]], Views],
        demonstrations: Callable[[Policy], EncodedDemonstrations | None], run: RunFolder,
        console: Console,
    ) -> bool:  # fmt: skip
        """All that is left to do; False when asked to stop.

        Args:
            views: makes those of the encoder, for a grid of labels.
            demonstrations: encodes them with the trained encoder; None: asked to stop.
            run: whose metrics get a line of the encoder, then one an epoch.
            console: shows it.
        """
        if self.is_finished:
            return True
        with self._open_metrics(run) as metrics:
            if not self._train_encoder(views, metrics, console):
                return False
            encoded = demonstrations(self.policy)
            return encoded is not None and self._imitate(encoded, metrics, console)

    def _open_metrics(self, run: RunFolder) -> MetricsLog:
        """The run's metrics, cut off where the checkpoint was taken."""
        if self._phase == _ENCODER:
            return MetricsLog(run.metrics, keep_lines=0, events=run.tensorboard)
        epochs = int(self._resumed.trainer["counters"]["epochs"]) if self._resumed else 0
        return MetricsLog.resume(
            run.metrics, stage=ImitationTraining.name, iteration=epochs, events=run.tensorboard
        )

    def _train_encoder(
        self, views: Callable[[tuple[int, int]], Views], metrics: MetricsLog, console: Console
    ) -> bool:
        """The first half, unless it is done; False when asked to stop."""
        if self._phase > _ENCODER:
            return True
        config = self.encoder
        rows, columns = self.policy.config.image.grid
        images = views((rows * config.parts, columns * config.parts))
        training = EncoderTraining(self.policy, images, config, len(self.goal_types))
        state = self._restored(training)
        stats: dict[str, float] = {}
        with console.stage("image encoder", total=config.num_views, unit="views") as stage:
            stage.resume_at(self._first * config.batch_size)
            for number in range(self._first, training.num_steps):
                if self.should_stop():
                    if number > 0:  # else there is nothing to go on with but the seed
                        self._save(state, training, {"phase": _ENCODER, "done": number})
                    return False
                stats = training.step(number)
                stage.update(advance=config.batch_size)
                if (number + 1) % _SAVE_EVERY == 0 and number + 1 < training.num_steps:
                    self._save(state, training, {"phase": _ENCODER, "done": number + 1})
        if config.standardise:
            training.standardise()
        line = {"stage": training.name, "iteration": 1, "step": config.num_views}
        metrics.append({**line, **stats})
        self._phase, self._first = _IMITATION, 0
        self._save(state, training, {"phase": _IMITATION, "done": 0, "epochs": 0})
        return True

    def _imitate(
        self, demonstrations: EncodedDemonstrations, metrics: MetricsLog, console: Console
    ) -> bool:
        """The second half; False when asked to stop. Metrics get a line an epoch."""
        training = ImitationTraining(
            self.policy, demonstrations, self.agent.vocabulary(), self.imitation, seed=self.seed
        )
        state = self._restored(training)
        sums = {
            name.removeprefix(_SUMS): float(value)
            for name, value in state.tensors.items()
            if name.startswith(_SUMS)
        }
        total = self.imitation.num_epochs * demonstrations.num_episodes
        with console.stage("imitation", total=total, unit="episodes") as stage:
            stage.resume_at(total * self._first / training.num_steps)
            for number in range(self._first, training.num_steps):
                if self.should_stop():
                    self._save_imitation(state, training, number, sums)
                    return False
                self._imitate_once(training, number, sums, stage, total)
                if (number + 1) % training.steps_an_epoch == 0:
                    epoch = (number + 1) // training.steps_an_epoch
                    step = epoch * len(demonstrations.features)
                    line = {"stage": training.name, "iteration": epoch, "step": step}
                    metrics.append({**line, **sums})
                    sums.clear()
                    self._save_imitation(state, training, number + 1, sums)
        self._finish(len(demonstrations.features))
        return True

    def _imitate_once(
        self, training: ImitationTraining, number: int, sums: dict[str, float], stage: Stage,
        total: int,
    ) -> None:  # fmt: skip
        stats = training.step(number)
        for name, value in stats.items():
            sums[name] = sums.get(name, 0.0) + value / training.steps_an_epoch
        stage.update(
            completed=total * (number + 1) / training.num_steps,
            note=f"loss {stats['imitation_loss']:.3f}",
        )

    def _restored(self, training: _Training) -> TrainState:
        """The state to save, as the checkpoint has it where that was taken within this phase."""
        state = TrainState(
            stage="pretrain", policy=self.policy, optimizer=training.optimizer, seed=self.seed
        )
        if self._resumed is None or self._first == 0:
            return state
        state.from_checkpoint(self._resumed)
        extra = {
            name.removeprefix(_EXTRA): value
            for name, value in state.tensors.items()
            if name.startswith(_EXTRA)
        }
        training.load_tensors(extra)
        # The rate itself is the optimizer's; the schedule only counts.
        counted = {"last_epoch": self._first, "_step_count": self._first + 1}
        training.schedule.load_state_dict({**training.schedule.state_dict(), **counted})
        return state

    def _save_imitation(
        self, state: TrainState, training: ImitationTraining, done: int, sums: Mapping[str, float]
    ) -> None:
        epochs = done // training.steps_an_epoch
        self._save(state, training, {"phase": _IMITATION, "done": done, "epochs": epochs}, sums)

    def _save(
        self, state: TrainState, training: _Training, counters: dict[str, int],
        sums: Mapping[str, float] | None = None,
    ) -> None:  # fmt: skip
        state.counters = counters
        state.step = counters["done"]
        if counters["phase"] == _IMITATION:
            state.step += self.encoder.num_views // self.encoder.batch_size
        extra = {_EXTRA + name: value for name, value in training.tensors().items()}
        means = {_SUMS + n: torch.tensor(v, dtype=torch.float64) for n, v in (sums or {}).items()}
        state.tensors = extra | means
        checkpoint = state.to_checkpoint(policy=to_dict(self.agent), recipe=to_dict(self.recipe))
        save_checkpoint(self._progress, checkpoint, keep_last=1)

    def _finish(self, num_steps: int) -> None:
        checkpoint = Checkpoint(
            step=num_steps, stage="pretrain", model=self.policy.state_dict(),
            policy=to_dict(self.agent), recipe=to_dict(self.recipe), trainer={},
            metrics={"demonstrated_steps": num_steps},
        )  # fmt: skip
        save_checkpoint(self.folder, checkpoint)
        shutil.rmtree(self._progress, ignore_errors=True)
