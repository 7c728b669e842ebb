"""All that a training run is made of between two iterations, as one saveable object."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from flare.checkpoint import Checkpoint, load_weights
from flare.errors import UserError
from flare.kernels.flat_adam import FlatAdam
from flare.metrics import SuccessWindow


@dataclass(kw_only=True)
class TrainState:
    """Weights, optimizer, counters and random state; a restored state continues bit for bit.

    Random numbers are keyed by (seed, env, episode, step), so the seed and the counters are the
    generator's state; torch's own generators are kept too, for dropout.
    """

    stage: str  # recipe: pretrain, finetune
    policy: nn.Module
    optimizer: torch.optim.Optimizer
    seed: int
    iteration: int = 0  # finished iterations
    step: int = 0  # environment steps (imitation: optimizer steps) so far
    episodes: int = 0  # finished episodes
    best: float = -1.0  # best success rate so far, decides what `best` points at
    window: SuccessWindow = field(default_factory=SuccessWindow)
    # Exact weights, on the CPU, of what the optimizer does not move and the policy has rounded.
    kept: dict[str, Tensor] = field(default_factory=dict)
    # Small integers of the recipe's own, such as lines of episodes.jsonl or the curriculum's level.
    counters: dict[str, int] = field(default_factory=dict)
    # Arrays that outlive an iteration, by name: the sampler's episode index of each env [N], the KV
    # cache, the worlds' state bytes (uint8).
    tensors: dict[str, Tensor] = field(default_factory=dict)

    def weights(self) -> dict[str, Tensor]:
        """The policy's state dict, exact where the policy computes with roundings."""
        return {**self.policy.state_dict(), **self.kept, **self._masters()}

    def _masters(self) -> dict[str, Tensor]:
        if not isinstance(self.optimizer, FlatAdam):
            return {}
        masters = self.optimizer.masters()
        return {name: masters[p] for name, p in self.policy.named_parameters() if p in masters}

    def to_checkpoint(
        self,
        *,
        policy: Mapping[str, Any],
        recipe: Mapping[str, Any],
        metrics: Mapping[str, Any] | None = None,
    ) -> Checkpoint:
        """What flare.checkpoint saves.

        Args:
            policy: the policy's configuration as a JSON object (flare.config.to_dict).
            recipe: the recipe's resolved configuration as a JSON object.
            metrics: numbers for the card, such as success_rate.
        """
        trainer = {
            "optimizer": self.optimizer.state_dict(),
            "seed": self.seed,
            "iteration": self.iteration,
            "episodes": self.episodes,
            "best": self.best,
            "window": self.window.state_dict(),
            "counters": dict(self.counters),
            "tensors": {name: _on_cpu(tensor) for name, tensor in self.tensors.items()},
            "torch_rng": torch.get_rng_state(),
            "cuda_rng": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }
        return Checkpoint(
            step=self.step,
            stage=self.stage,
            model=self.weights(),
            policy=dict(policy),
            recipe=dict(recipe),
            trainer=trainer,
            metrics=dict(metrics or {}),
        )

    def from_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Take over a checkpoint of the same stage, in place; the policy's modules stay.

        Raises:
            UserError: the checkpoint is of another stage or its weights do not fit the policy.
        """
        if checkpoint.stage != self.stage:
            raise UserError(
                f"a checkpoint of {checkpoint.stage} cannot be resumed by {self.stage}",
                mend=f"resume it with flare {checkpoint.stage}, or start from its weights",
                key="stage",
            )
        load_weights(self.policy, checkpoint)
        with torch.no_grad():
            for name, master in self._masters().items():
                master.copy_(checkpoint.model[name])
        self.kept = {name: checkpoint.model[name] for name in self.kept}
        try:
            self._take(checkpoint)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise UserError(
                f"trainer.pt holds no state of {self.stage} ({error!r})",
                mend="use another checkpoint of the run, or start from its weights",
            ) from error

    def _take(self, checkpoint: Checkpoint) -> None:
        trainer = checkpoint.trainer
        self.optimizer.load_state_dict(trainer["optimizer"])
        self.step = checkpoint.step
        self.seed = trainer["seed"]
        self.iteration = trainer["iteration"]
        self.episodes = trainer["episodes"]
        self.best = trainer["best"]
        self.window.load_state_dict(trainer["window"])
        self.counters = dict(trainer["counters"])
        self.tensors = dict(trainer["tensors"])
        torch.set_rng_state(trainer["torch_rng"])
        if torch.cuda.is_available() and trainer["cuda_rng"]:
            torch.cuda.set_rng_state_all(trainer["cuda_rng"])


def _on_cpu(tensor: Tensor) -> Tensor:
    """A private copy, so that the file does not drag along the storage that a view belongs to."""
    return tensor.detach().to("cpu", copy=True).contiguous()
