"""Pre-training: an image encoder from the simulator's free labels, then imitation of the expert."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flare.console import Stage
from flare.errors import UserError
from flare.imitation.demonstrations import Demonstrations, padded_batch
from flare.imitation.losses import dense_label_loss
from flare.imitation.update import ImitationBatch, imitation_update
from flare.policy.dense_labels import DenseLabelsHead
from flare.policy.observation import Observation
from flare.policy.policy import Policy
from flare.rng import keyed_bits
from flare.tasks.instructions import Vocabulary
from flare.tasks.privileged import NUM_PRIVILEGED
from flare.tasks.sampler import EpisodeSampler
from flare.worlds.embedded import EmbeddedWorlds, House

_SHUFFLE_DRAW = 17  # which random number of a key orders the episodes of an epoch


@dataclass(frozen=True, kw_only=True, slots=True)
class EncoderConfig:
    """Pre-training of the image encoder on category and depth of every grid cell."""

    num_views: int = 60_000  # rendered once each
    batch_size: int = 128  # views per gradient step
    learning_rate: float = 2e-3  # peak; cosine to zero
    depth_coef: float = 0.1  # weight of the inverse-depth loss

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.num_views < self.batch_size:
            raise UserError(
                f"is {self.num_views}", key="encoder.num_views", mend="use at least one batch"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class ImitationConfig:
    """Imitation of demonstrations."""

    num_epochs: int = 8
    batch_size: int = 32  # episodes per gradient step
    learning_rate: float = 1e-3  # peak; cosine to zero
    max_grad_norm: float = 1.0


class LabelledViews:
    """Random views of houses with the labels that the simulator gives at no cost."""

    def __init__(
        self,
        worlds: EmbeddedWorlds,
        houses: list[House],
        sampler: EpisodeSampler,
        goal_types: tuple[str, ...],
        grid: tuple[int, int],
    ) -> None:
        self._worlds, self._sampler, self._grid = worlds, sampler, grid
        self._num_goals = len(goal_types)
        n, camera = worlds.num_envs, worlds.camera
        self._frames = np.zeros((n, *camera.frame_shape), np.uint8)
        self._facts = np.zeros(n, worlds.facts_dtype)
        self._classes = _class_tables(houses, goal_types)

    def batch(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        """Views of the key (seed, env, index).

        Returns:
            frames [N, C, H, W, 3] uint8; presence [N, K, gh, gw] float32, whether any pixel of the
            cell shows category k; inverse depth [N, gh, gw] float32 1/m, the cell's mean.
        """
        worlds = self._worlds
        envs = np.arange(worlds.num_envs)
        episodes = self._sampler.sample(envs, np.full(len(envs), index))
        ids32 = envs.astype(np.int32)
        worlds.reset(ids32, episodes.specs, self._frames, self._facts)
        camera = worlds.camera
        _, depth, ids = worlds.render(ids32, 0, camera.width, camera.height, depth=True, ids=True)
        assert depth is not None and ids is not None
        classes = self._classes[episodes.specs["house"][:, None, None], ids]
        one_hot = torch.nn.functional.one_hot(torch.from_numpy(classes), self._num_goals + 1)
        presence = torch.nn.functional.adaptive_max_pool2d(
            one_hot[..., 1:].permute(0, 3, 1, 2).float(), self._grid
        )
        inverse = torch.from_numpy(1.0 / np.maximum(depth, 0.25))
        inverse = torch.nn.functional.adaptive_avg_pool2d(inverse[:, None], self._grid)[:, 0]
        return torch.from_numpy(self._frames), presence, inverse


def _class_tables(houses: list[House], goal_types: tuple[str, ...]) -> NDArray[np.int64]:
    """[houses, most objects + 1]: id in the id image -> 1 + goal category, 0 for the rest."""
    index = {name: 1 + i for i, name in enumerate(goal_types)}
    lists = [[index.get(item["type"], 0) for item in house.objects()] for house in houses]
    table = np.zeros((len(houses), 1 + max(len(row) for row in lists)), np.int64)
    for row, classes in zip(table, lists, strict=True):
        row[1 : 1 + len(classes)] = classes
    return table


def pretrain_encoder(
    policy: Policy,
    views: LabelledViews,
    config: EncoderConfig,
    num_goals: int,
    stage: Stage,
    should_stop: Callable[[], bool],
) -> dict[str, float]:
    """Train the policy's image encoder on labelled views; returns the last batch's statistics."""
    head = DenseLabelsHead(policy.image_encoder, num_classes=num_goals)
    parameters = [*policy.image_encoder.parameters(), *head.parameters()]
    num_steps = config.num_views // config.batch_size
    optimizer = torch.optim.AdamW(parameters, lr=config.learning_rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, num_steps)
    stats: dict[str, float] = {}
    for step in range(num_steps):
        frames, presence, inverse_depth = views.batch(step)
        out = head(policy.image_encoder(frames))
        loss, tensors = dense_label_loss(out, presence, inverse_depth, config.depth_coef)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        stage.update(advance=len(frames))
        if step == num_steps - 1 or should_stop():
            stats = {name: float(value) for name, value in tensors.items()}
            break
    return stats


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
        self, policy: Policy, demonstrations: Demonstrations, vocabulary: Vocabulary, seed: int
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
        steps, width = actions.shape
        time_step = np.broadcast_to(np.arange(steps)[:, None], (steps, width)).copy()
        tokens = np.broadcast_to(self._tokens[chosen], (steps, *self._tokens[chosen].shape))
        obs = Observation(
            features=torch.from_numpy(features),
            tokens=torch.from_numpy(tokens.copy()),
            prev_action=torch.from_numpy(previous),
            time_step=torch.from_numpy(time_step),
            facts=torch.zeros(steps, width, NUM_PRIVILEGED),
        )
        return ImitationBatch(
            obs=obs, actions=torch.from_numpy(actions), valid=torch.from_numpy(valid)
        )


def imitate(
    policy: Policy,
    demonstrations: Demonstrations,
    vocabulary: Vocabulary,
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
            stats = imitation_update(
                policy, optimizer, batches.batch(chosen), max_grad_norm=config.max_grad_norm
            )
            schedule.step()
            stage.update(advance=len(chosen))
            for name, value in stats.items():
                sums[name] = sums.get(name, 0.0) + value / len(chosen_batches)
        on_epoch(epoch + 1, sums)
        if should_stop():
            return
