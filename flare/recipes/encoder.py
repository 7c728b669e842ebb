"""Pre-training of the image encoder on labels that the simulator gives at no cost."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flare.console import Stage
from flare.errors import UserError, require
from flare.imitation.losses import dense_label_loss
from flare.policy.dense_labels import DenseLabelsHead
from flare.policy.image_encoder import ImageEncoder
from flare.policy.policy import Policy
from flare.tasks.sampler import EpisodeSampler
from flare.worlds.embedded import EmbeddedWorlds, House


@dataclass(frozen=True, kw_only=True, slots=True)
class EncoderConfig:
    """Pre-training of the image encoder on category and depth of every grid cell."""

    num_views: int = 60_000  # rendered once each
    batch_size: int = 128  # views per gradient step
    learning_rate: float = 2e-3  # peak; cosine to zero
    depth_coef: float = 0.1  # weight of the inverse-depth loss

    def __post_init__(self) -> None:
        require(self.batch_size >= 1, "encoder.batch_size", self.batch_size, "use at least 1")
        require(
            self.num_views >= self.batch_size,
            "encoder.num_views",
            self.num_views,
            f"use at least one batch, {self.batch_size}",
        )
        rate, coef = self.learning_rate, self.depth_coef
        require(0 < rate < math.inf, "encoder.learning_rate", rate, "use a positive number")
        require(0 <= coef < math.inf, "encoder.depth_coef", coef, "use 0 or more")


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
        self._frames = np.zeros((worlds.num_envs, *worlds.camera.frame_shape), np.uint8)
        self._facts = np.zeros(worlds.num_envs, worlds.facts_dtype)
        self._classes = _class_tables(houses, goal_types)

    def batch(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        """Views of the key (seed, env, index).

        Returns:
            frames [N, C, H, W, 3] uint8; presence [M, K, gh, gw] float32, whether any pixel of the
            cell shows category k; inverse depth [M, gh, gw] float32 1/m, the cell's mean. M = N·C
            images, cameras fastest.
        """
        worlds = self._worlds
        envs = np.arange(worlds.num_envs)
        episodes = self._sampler.sample(envs, np.full(len(envs), index))
        ids32 = envs.astype(np.int32)
        worlds.reset(ids32, episodes.specs, self._frames, self._facts)
        labels = [
            self._labels(ids32, episodes.specs["house"], camera)
            for camera in range(worlds.camera.num_cameras)
        ]
        presence, inverse = (
            torch.stack(part, 1).flatten(0, 1) for part in zip(*labels, strict=True)
        )
        return torch.from_numpy(self._frames), presence, inverse

    def _labels(
        self, env_ids: NDArray[np.int32], houses: NDArray[np.int32], camera: int
    ) -> tuple[Tensor, Tensor]:
        """Presence [N, K, gh, gw] and inverse depth [N, gh, gw] of one camera's images."""
        _, depth, ids = self._worlds.render(env_ids, camera, depth=True, ids=True)
        assert depth is not None and ids is not None
        known = np.where(ids < self._classes.shape[1], ids, 0)  # the robot itself is no object
        classes = self._classes[houses[:, None, None], known]
        one_hot = torch.nn.functional.one_hot(torch.from_numpy(classes), self._num_goals + 1)
        presence = torch.nn.functional.adaptive_max_pool2d(
            one_hot[..., 1:].permute(0, 3, 1, 2).float(), self._grid
        )
        inverse = torch.from_numpy(1.0 / np.maximum(depth, 0.25))
        inverse = torch.nn.functional.adaptive_avg_pool2d(inverse[:, None], self._grid)[:, 0]
        return presence, inverse


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
    encoder = policy.image_encoder
    if not isinstance(encoder, ImageEncoder):
        raise UserError(
            "has a frozen image encoder", key="network.image", mend="use the small policy"
        )
    head = DenseLabelsHead(encoder, num_classes=num_goals)
    parameters = [*encoder.parameters(), *head.parameters()]
    num_steps = config.num_views // config.batch_size
    optimizer = torch.optim.AdamW(parameters, lr=config.learning_rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, num_steps)
    stats: dict[str, float] = {}
    for step in range(num_steps):
        frames, presence, inverse_depth = views.batch(step)
        out = head(encoder(frames))
        loss, tensors = dense_label_loss(out, presence, inverse_depth, config.depth_coef)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        stage.update(advance=len(frames))
        if step == num_steps - 1 or should_stop():
            stats = {name: float(value) for name, value in tensors.items()}
            break
    return stats
