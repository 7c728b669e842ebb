"""Behaviour cloning of demonstrations with the image encoder frozen."""

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from flare.errors import require
from flare.imitation.demonstrations import padded_batch
from flare.imitation.encoded import EncodedDemonstrations
from flare.imitation.update import ImitationBatch, imitation_update
from flare.policy.observation import Observation
from flare.policy.policy import Policy
from flare.rng import keyed_bits
from flare.tasks.privileged import NUM_PRIVILEGED
from flare.tasks.tokenizer import Tokenizer

_SHUFFLE_DRAW, _BATCH_DRAW = 17, 18  # which random number of a key orders episodes and batches


@dataclass(frozen=True, kw_only=True, slots=True)
class ImitationConfig:
    """Imitation of demonstrations."""

    num_epochs: int = 7
    batch_size: int = 32  # episodes per gradient step
    # Batches whose episodes are sorted by length before they are dealt out, so that fewer steps are
    # padding; 1: episodes of any length come together.
    sorted_batches: int = 1
    learning_rate: float = 2e-3  # peak; cosine to zero
    max_grad_norm: float = 1.0
    feature_dropout: float = 0.0  # share of the image features that are zeroed in training

    def __post_init__(self) -> None:
        for name in ("num_epochs", "batch_size", "sorted_batches"):
            value = getattr(self, name)
            require(value >= 1, f"imitation.{name}", value, "use at least 1")
        share = self.feature_dropout
        require(0 <= share < 1, "imitation.feature_dropout", share, "use 0 to below 1")
        for name in ("learning_rate", "max_grad_norm"):
            value = getattr(self, name)
            require(0 < value < math.inf, f"imitation.{name}", value, "use a positive number")


class ImitationTraining:
    """Behaviour cloning of encoded demonstrations, a batch of whole episodes a step."""

    name = "pretrain"

    def __init__(
        self, policy: Policy, demonstrations: EncodedDemonstrations, vocabulary: Tokenizer,
        config: ImitationConfig, *, seed: int,
    ) -> None:  # fmt: skip
        """Begin; freezes the policy's image encoder.

        Args:
            policy: whose actor learns.
            demonstrations: encoded by this policy.
            vocabulary: the policy's.
            config: how.
            seed: of the order of episodes.
        """
        policy.image_encoder.requires_grad_(False)
        self._policy, self._data, self._config, self._seed = policy, demonstrations, config, seed
        self._tokens = vocabulary.encode(demonstrations.instructions)
        self.steps_an_epoch = -(-demonstrations.num_episodes // config.batch_size)
        self.num_steps = config.num_epochs * self.steps_an_epoch
        trained = [p for p in policy.actor_parameters() if p.requires_grad]
        self.optimizer: torch.optim.Optimizer = torch.optim.AdamW(
            trained, lr=config.learning_rate, weight_decay=1e-3
        )
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, self.num_steps)
        self._epoch, self._batches = -1, list[NDArray[np.int64]]()

    def step(self, number: int) -> dict[str, float]:
        """One gradient step; its statistics."""
        epoch, place = divmod(number, self.steps_an_epoch)
        if epoch != self._epoch:
            self._epoch, self._batches = epoch, self._deal(epoch)
        self._policy.train()
        stats = imitation_update(
            self._policy, self.optimizer, self._batch(self._batches[place]),
            max_grad_norm=self._config.max_grad_norm,
        )  # fmt: skip
        self.schedule.step()
        return stats

    def tensors(self) -> dict[str, Tensor]:
        """Nothing is trained but the policy."""
        return {}

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Nothing to take over."""

    def _deal(self, epoch: int) -> list[NDArray[np.int64]]:
        """Episode indices of each of an epoch's batches, in an order keyed by (seed, epoch)."""
        size, count = self._config.batch_size, self._data.num_episodes
        order = self._shuffled(count, epoch, _SHUFFLE_DRAW)
        if self._config.sorted_batches == 1:
            return [order[i : i + size] for i in range(0, count, size)]
        lengths, group = np.diff(self._data.offsets), size * self._config.sorted_batches
        batches = []
        for first in range(0, count, group):
            some = order[first : first + group]
            some = some[np.argsort(lengths[some], kind="stable")]
            batches += [some[i : i + size] for i in range(0, len(some), size)]
        return [batches[i] for i in self._shuffled(len(batches), epoch, _BATCH_DRAW)]

    def _shuffled(self, count: int, epoch: int, draw: int) -> NDArray[np.int64]:
        keys = keyed_bits(self._seed, 0, np.arange(count), epoch, draw)
        return np.argsort(keys, kind="stable")

    def _batch(self, chosen: NDArray[np.int64]) -> ImitationBatch:
        """The chosen episodes side by side, [T, B]."""
        data, offsets = self._data, self._data.offsets
        actions, valid = padded_batch(offsets, chosen, data.expert_actions)
        features, _ = padded_batch(offsets, chosen, data.features)
        previous, _ = padded_batch(offsets, chosen, data.prev_actions)
        in_hand, _ = padded_batch(offsets, chosen, data.in_hand)
        steps, width = actions.shape
        time_step = np.broadcast_to(np.arange(steps)[:, None], (steps, width)).copy()
        tokens = np.broadcast_to(self._tokens[chosen], (steps, *self._tokens[chosen].shape))
        obs = Observation(
            features=F.dropout(torch.from_numpy(features).float(), self._config.feature_dropout),
            tokens=torch.from_numpy(tokens.copy()),
            prev_action=torch.from_numpy(previous),
            time_step=torch.from_numpy(time_step),
            in_hand=torch.from_numpy(in_hand),
            facts=torch.zeros(steps, width, NUM_PRIVILEGED),
        )
        return ImitationBatch(
            obs=obs, actions=torch.from_numpy(actions), valid=torch.from_numpy(valid)
        )
