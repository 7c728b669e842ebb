"""Behaviour cloning of demonstrations with the image encoder frozen."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from flare.console import Stage
from flare.errors import require
from flare.imitation.demonstrations import Demonstrations, padded_batch
from flare.imitation.update import ImitationBatch, imitation_update
from flare.policy.observation import Observation
from flare.policy.policy import Policy
from flare.rng import keyed_bits
from flare.tasks.privileged import NUM_PRIVILEGED
from flare.tasks.tokenizer import Tokenizer

_SHUFFLE_DRAW = 17  # which random number of a key orders the episodes of an epoch


@dataclass(frozen=True, kw_only=True, slots=True)
class ImitationConfig:
    """Imitation of demonstrations."""

    num_epochs: int = 7
    batch_size: int = 32  # episodes per gradient step
    learning_rate: float = 2e-3  # peak; cosine to zero
    max_grad_norm: float = 1.0

    def __post_init__(self) -> None:
        for name in ("num_epochs", "batch_size"):
            value = getattr(self, name)
            require(value >= 1, f"imitation.{name}", value, "use at least 1")
        for name in ("learning_rate", "max_grad_norm"):
            value = getattr(self, name)
            require(0 < value < math.inf, f"imitation.{name}", value, "use a positive number")


@torch.no_grad()
def encode_demonstrations(policy: Policy, demonstrations: Demonstrations) -> NDArray[np.float32]:
    """Features of every demonstrated frame: [M, F] float32. The encoder is frozen from here on."""
    out = np.empty((len(demonstrations.frames), policy.num_features), np.float32)
    for first in range(0, len(out), 256):
        frames = torch.from_numpy(demonstrations.frames[first : first + 256])
        out[first : first + 256] = policy.encode_frames(frames).numpy()
    return out


def previous_actions(demonstrations: Demonstrations, num_actions: int) -> NDArray[np.int64]:
    """[M]: the action before each step, num_actions at the first step of an episode."""
    previous = np.concatenate([[num_actions], demonstrations.actions[:-1]])
    previous[demonstrations.offsets[:-1]] = num_actions
    return previous


class _Batches:
    """Demonstrations as padded batches, in an order keyed by (seed, epoch)."""

    def __init__(
        self, policy: Policy, demonstrations: Demonstrations, vocabulary: Tokenizer, seed: int
    ) -> None:
        self._demonstrations, self._seed = demonstrations, seed
        self._features = encode_demonstrations(policy, demonstrations)
        self._previous = previous_actions(demonstrations, policy.num_actions)
        self._tokens = vocabulary.encode(demonstrations.instructions)

    def epoch(self, epoch: int, batch_size: int) -> list[NDArray[np.int64]]:
        """Episode indices of each batch."""
        count = self._demonstrations.num_episodes
        keys = keyed_bits(self._seed, 0, np.arange(count), epoch, _SHUFFLE_DRAW)
        order = np.argsort(keys, kind="stable")
        return [order[i : i + batch_size] for i in range(0, count, batch_size)]

    def batch(self, chosen: NDArray[np.int64]) -> ImitationBatch:
        """The chosen episodes side by side, [T, B]."""
        actions, valid = padded_batch(self._demonstrations, chosen, self._demonstrations.actions)
        features, _ = padded_batch(self._demonstrations, chosen, self._features)
        previous, _ = padded_batch(self._demonstrations, chosen, self._previous)
        in_hand, _ = padded_batch(self._demonstrations, chosen, self._demonstrations.in_hand)
        steps, width = actions.shape
        time_step = np.broadcast_to(np.arange(steps)[:, None], (steps, width)).copy()
        tokens = np.broadcast_to(self._tokens[chosen], (steps, *self._tokens[chosen].shape))
        obs = Observation(
            features=torch.from_numpy(features),
            tokens=torch.from_numpy(tokens.copy()),
            prev_action=torch.from_numpy(previous),
            time_step=torch.from_numpy(time_step),
            in_hand=torch.from_numpy(in_hand),
            facts=torch.zeros(steps, width, NUM_PRIVILEGED),
        )
        return ImitationBatch(
            obs=obs, actions=torch.from_numpy(actions), valid=torch.from_numpy(valid)
        )


def imitate(
    policy: Policy,
    demonstrations: Demonstrations,
    vocabulary: Tokenizer,
    config: ImitationConfig,
    stage: Stage,
    *,
    seed: int,
    on_epoch: Callable[[int, dict[str, float]], None],
    should_stop: Callable[[], bool],
) -> None:
    """Behaviour cloning with the image encoder frozen; one on_epoch call per pass over the data."""
    policy.image_encoder.requires_grad_(False)
    batches = _Batches(policy, demonstrations, vocabulary, seed)
    trained = [p for p in policy.actor_parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=config.learning_rate, weight_decay=1e-3)
    num_steps = config.num_epochs * -(-demonstrations.num_episodes // config.batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, num_steps)
    policy.train()
    for epoch in range(config.num_epochs):
        sums: dict[str, float] = {}
        chosen_batches = batches.epoch(epoch, config.batch_size)
        for chosen in chosen_batches:
            if should_stop():
                return
            stats = imitation_update(
                policy, optimizer, batches.batch(chosen), max_grad_norm=config.max_grad_norm
            )
            schedule.step()
            stage.update(advance=len(chosen))
            for name, value in stats.items():
                sums[name] = sums.get(name, 0.0) + value / len(chosen_batches)
        on_epoch(epoch + 1, sums)
