"""Pre-training of the image encoder on labels that the simulator gives at no cost."""

import math
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flare.assembly import TaskConfig, WorldConfig, make_sampler, make_worlds
from flare.errors import UserError, require
from flare.imitation.losses import dense_label_loss
from flare.policy.dense_labels import DenseLabelsHead
from flare.policy.image_encoder import ImageEncoder
from flare.policy.policy import Policy
from flare.rng import keyed_integers
from flare.tasks.sampler import EpisodeSampler
from flare.worlds.embedded import EmbeddedWorlds, House

_BATCHES_A_WALK, _ACTIONS_A_BATCH = 8, 4  # the expert's episodes are about 20 to 40 actions long
_BATCHES_TO_MEASURE = 8
_TURNS = ("rotate_left", "rotate_right")


@dataclass(frozen=True, kw_only=True, slots=True)
class EncoderConfig:
    """Pre-training of the image encoder on category and depth of every grid cell."""

    num_views: int = 60_000  # rendered once each
    batch_size: int = 128  # views per gradient step
    learning_rate: float = 2e-3  # peak; cosine to zero
    depth_coef: float = 0.1  # weight of the inverse-depth loss
    # Labels a cell along each side: with more than 1 its features also tell where in it things are,
    # which who is to take them has to see.
    parts: int = 1
    # Whether each channel is shifted and scaled in the end, so that over views it has mean 0 and
    # variance 1: who learns from the features then learns several times as fast.
    standardise: bool = False

    def __post_init__(self) -> None:
        require(self.batch_size >= 1, "encoder.batch_size", self.batch_size, "use at least 1")
        require(
            self.num_views >= self.batch_size,
            "encoder.num_views",
            self.num_views,
            f"use at least one batch, {self.batch_size}",
        )
        require(self.parts >= 1, "encoder.parts", self.parts, "use at least 1")
        rate, coef = self.learning_rate, self.depth_coef
        require(0 < rate < math.inf, "encoder.learning_rate", rate, "use a positive number")
        require(0 <= coef < math.inf, "encoder.depth_coef", coef, "use 0 or more")


class Views(Protocol):
    """Images with labels; a batch is a function of its number alone."""

    def batch(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        """As LabelledViews.batch."""
        ...


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
        self._envs = np.arange(worlds.num_envs)
        self._houses = np.zeros(worlds.num_envs, np.int32)  # of the running episodes
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
        self._reset(index)
        return self._labelled()

    def _reset(self, index: int) -> None:
        """Start the episodes of the key (seed, env, index)."""
        episodes = self._sampler.sample(self._envs, np.full(len(self._envs), index))
        self._houses = episodes.specs["house"]
        self._worlds.reset(self._envs.astype(np.int32), episodes.specs, self._frames, self._facts)

    def _labelled(self) -> tuple[Tensor, Tensor, Tensor]:
        """What the worlds show now."""
        labels = [self._labels(camera) for camera in range(self._worlds.camera.num_cameras)]
        presence, inverse = (
            torch.stack(part, 1).flatten(0, 1) for part in zip(*labels, strict=True)
        )
        return torch.from_numpy(self._frames), presence, inverse

    def _labels(self, camera: int) -> tuple[Tensor, Tensor]:
        """Presence [N, K, gh, gw] and inverse depth [N, gh, gw] of one camera's images."""
        env_ids, houses = self._envs.astype(np.int32), self._houses
        _, depth, ids = self._worlds.render(env_ids, camera, depth=True, ids=True)
        assert depth is not None and ids is not None
        known = np.where(ids < self._classes.shape[1], ids, 0)  # the robot itself is no object
        classes = self._classes[houses[:, None, None], known]
        presence = torch.from_numpy(_presence(classes, self._num_goals, self._grid))
        inverse = torch.from_numpy(1.0 / np.maximum(depth, 0.25))
        inverse = torch.nn.functional.adaptive_avg_pool2d(inverse[:, None], self._grid)[:, 0]
        return presence, inverse


def views_anywhere(
    houses: list[House], world: WorldConfig, task: TaskConfig, config: EncoderConfig,
    goal_types: tuple[str, ...], seed: int, grid: tuple[int, int],
) -> LabelledViews:  # fmt: skip
    """Views from anywhere, also beside the goals, whatever the tasks."""
    anywhere = replace(task.sampler, target_types=goal_types, min_distance=0.0, specs=())
    drawn = TaskConfig(names=("ObjectNav",), sampler=anywhere)
    return LabelledViews(
        make_worlds(houses, replace(world, num_envs=config.batch_size)), houses,
        make_sampler(houses, drawn, seed), goal_types, grid,
    )  # fmt: skip


class WalkedViews(LabelledViews):
    """Views along the expert's ways, the hand near what it takes among them."""

    _upcoming = -1  # number of the batch that comes next of the running episodes

    def batch(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        """Views of the key (seed, env, index), shapes as of LabelledViews.

        The same episodes serve a few batches in a row; asked for in order, each is walked once.
        """
        group, place = divmod(index, _BATCHES_A_WALK)
        if place == 0 or index != self._upcoming:
            self._reset(group)
            for _ in range(place):
                self._walk()
        self._walk()
        self._upcoming = index + 1
        return self._labelled()

    def _walk(self) -> None:
        """A few actions; who has arrived looks around."""
        done = self._worlds.action_names.index("done")
        turns = [self._worlds.action_names.index(name) for name in _TURNS]
        for last in (False,) * (_ACTIONS_A_BATCH - 1) + (True,):
            actions = self._worlds.expert_actions()
            drawn = keyed_integers(len(turns), 0, self._envs, self._facts["step"])
            actions = np.where(actions == done, np.array(turns)[drawn], actions)
            self._worlds.step(actions, self._frames, self._facts, np.full(len(actions), last))


class TurnsOfViews:
    """Batches of several kinds of views, one after the other."""

    def __init__(self, *kinds: Views) -> None:
        self._kinds = kinds

    def batch(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        """As LabelledViews.batch."""
        turn, kind = divmod(index, len(self._kinds))
        return self._kinds[kind].batch(turn)


def _presence(
    classes: NDArray[np.int64], num_goals: int, grid: tuple[int, int]
) -> NDArray[np.float32]:
    """[N, H, W] of 1 + category, 0 for the rest, to [N, K, gh, gw]: 1 where the cell shows it.

    Cells are those of adaptive pooling: where the grid does not divide the image they overlap.
    """
    images = np.arange(len(classes))[:, None, None]
    found = np.zeros((len(classes), 1 + num_goals, *grid), np.float32)
    rows, columns = (_spans(*sizes) for sizes in zip(classes.shape[1:], grid, strict=True))
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            found[images, classes[:, row, column], i, j] = 1.0
    return found[:, 1:]


def _spans(size: int, count: int) -> list[slice]:
    return [slice(i * size // count, -(-(i + 1) * size // count)) for i in range(count)]


def _class_tables(houses: list[House], goal_types: tuple[str, ...]) -> NDArray[np.int64]:
    """[houses, most objects + 1]: id in the id image -> 1 + goal category, 0 for the rest."""
    index = {name: 1 + i for i, name in enumerate(goal_types)}
    lists = [[index.get(item["type"], 0) for item in house.objects()] for house in houses]
    table = np.zeros((len(houses), 1 + max(len(row) for row in lists)), np.int64)
    for row, classes in zip(table, lists, strict=True):
        row[1 : 1 + len(classes)] = classes
    return table


class EncoderTraining:
    """Training of a policy's image encoder on labelled views, a batch a step."""

    name = "encoder"

    def __init__(self, policy: Policy, views: Views, config: EncoderConfig, num_goals: int) -> None:
        """Begin.

        Args:
            policy: whose encoder learns.
            views: with labels of ``num_goals`` categories.
            config: how.
            num_goals: K.

        Raises:
            UserError: the encoder is a frozen one.
        """
        encoder = policy.image_encoder
        if not isinstance(encoder, ImageEncoder):
            raise UserError(
                "has a frozen image encoder", key="network.image", mend="use the small policy"
            )
        self._encoder, self._views, self._config = encoder, views, config
        self._head = DenseLabelsHead(encoder, num_classes=num_goals, parts=config.parts)
        self.num_steps = config.num_views // config.batch_size
        self.optimizer: torch.optim.Optimizer = torch.optim.AdamW(
            [*encoder.parameters(), *self._head.parameters()],
            lr=config.learning_rate, weight_decay=1e-4,
        )  # fmt: skip
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, self.num_steps)

    def step(self, number: int) -> dict[str, float]:
        """One gradient step; its statistics."""
        frames, presence, inverse_depth = self._views.batch(number)
        out = self._head(self._encoder(frames))
        loss, stats = dense_label_loss(out, presence, inverse_depth, self._config.depth_coef)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.schedule.step()
        return {name: float(value) for name, value in stats.items()}

    @torch.no_grad()
    def standardise(self) -> None:
        """Fold shift and scale of the channels into the encoder's last layer."""
        numbers = range(self.num_steps, self.num_steps + _BATCHES_TO_MEASURE)
        channels = self._encoder.config.grid_channels
        seen = torch.cat([self._encoder(self._views.batch(i)[0]) for i in numbers])
        cells = seen.view(-1, channels)
        scale, shift = cells.std(0).clamp(min=1e-3), cells.mean(0)
        project = self._encoder.project
        assert project.bias is not None
        project.weight /= scale[:, None, None, None]
        project.bias.copy_((project.bias - shift) / scale)

    def tensors(self) -> dict[str, Tensor]:
        """What is trained and not the policy's."""
        return dict(self._head.state_dict())

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Take over what tensors() gave."""
        self._head.load_state_dict(tensors)
