"""Windows of published trajectories: what one training sample is, and what it costs to read."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from flare.data.layout import (
    ACTION_IDS,
    CAMERAS,
    PAD_ACTION,
    PAD_IN_HAND,
    PAD_LAST_ACTION,
    PAD_TIME,
    SENSORS_FILE,
    decode_text,
    house_folder,
    read_map,
    video_name,
)
from flare.data.task_spec import sentence_of
from flare.data.video import read_frames
from flare.errors import UserError, require
from flare.rng import keyed_bits, keyed_integers, keyed_uniform

# What the numbers of a window's key decide; those from _DELETE on belong to single steps.
_START, _LAST, _SHIFT, _VERB, _REDUCE, _DELETE = 0, 1, 2, 3, 4, 16
_REDUCE_PROB, _DELETE_PROB = 0.75, 2 / 3  # of the original's thinning of repeated actions


@dataclass(frozen=True, kw_only=True, slots=True)
class WindowConfig:
    """How windows are cut out of episodes."""

    length: int = 100  # steps at most; shorter episodes are taken whole
    # Chance that a window is the episode's last one, at the first and at the last gradient step.
    last_prob: float = 0.0
    last_prob_end: float = 0.0
    reduce_repeats: bool = False  # thin out actions that repeat the one before
    time_range: int = 1000  # time indices are shifted at random within it; 0: they never are

    def __post_init__(self) -> None:
        require(self.length >= 1, "window.length", self.length, "use at least 1")
        require(self.time_range >= 0, "window.time_range", self.time_range, "use 0 or more")
        for name in ("last_prob", "last_prob_end"):
            value = getattr(self, name)
            require(0.0 <= value <= 1.0, f"window.{name}", value, "use 0 to 1")

    def last_prob_at(self, progress: float) -> float:
        """The chance of the last window, ``progress`` in [0, 1] of the training being done."""
        return self.last_prob + (self.last_prob_end - self.last_prob) * min(progress, 1.0)


@dataclass(frozen=True, slots=True)
class Sample:
    """One episode on disk."""

    folder: Path  # of its house
    episode: str

    def __str__(self) -> str:
        return f"{self.folder} episode {self.episode}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """L consecutive steps of one episode; fewer of them where actions were thinned out."""

    frames: NDArray[np.uint8]  # [L, C, H, W, 3] of what the policy saw before each action
    actions: NDArray[np.int64]  # [L] the expert's, ids of ACTION_NAMES
    last_actions: NDArray[np.int64]  # [L] the one before; 20: none yet
    time_ids: NDArray[np.int64]  # [L] steps since the episode's start, plus the window's shift
    in_hand: NDArray[np.int64]  # [L] 0, 1
    instruction: str

    def __len__(self) -> int:
        return len(self.actions)


@dataclass(frozen=True, kw_only=True, slots=True)
class WindowBatch:
    """B windows side by side, padded at their ends to the longest, S steps."""

    frames: NDArray[np.uint8]  # [B, S, C, H, W, 3], 0 where padded
    actions: NDArray[np.int64]  # [B, S], -1 where padded
    last_actions: NDArray[np.int64]  # [B, S], 21 where padded
    time_ids: NDArray[np.int64]  # [B, S], -1 where padded
    in_hand: NDArray[np.int64]  # [B, S], 2 where padded
    lengths: NDArray[np.int64]  # [B]
    instructions: list[str]  # [B]

    @classmethod
    def of(cls, windows: Sequence[Window]) -> "WindowBatch":
        """These windows, at least one, with frames of one shape."""
        lengths = np.array([len(window) for window in windows])
        shape = (len(windows), int(lengths.max()))
        frames = np.zeros((*shape, *windows[0].frames.shape[1:]), np.uint8)
        columns = {
            name: np.full(shape, pad, np.int64)
            for name, pad in (
                ("actions", PAD_ACTION), ("last_actions", PAD_LAST_ACTION),
                ("time_ids", PAD_TIME), ("in_hand", PAD_IN_HAND),
            )
        }  # fmt: skip
        for row, window in enumerate(windows):
            frames[row, : len(window)] = window.frames
            for name, column in columns.items():
                column[row, : len(window)] = getattr(window, name)
        instructions = [window.instruction for window in windows]
        return cls(frames=frames, lengths=lengths, instructions=instructions, **columns)


def find_samples(
    task_folder: Path, split: str, max_samples: int | None = None
) -> tuple[Sample, ...]:
    """The episodes that a task's list names, in its order; nothing is opened.

    Raises:
        UserError: no list, or an empty one.
    """
    samples = [
        Sample(house_folder(task_folder, split, house), episode)
        for house, episodes in read_map(task_folder, split).items()
        for episode in episodes
    ][:max_samples]
    if not samples:
        raise UserError("lists no episode", file=task_folder, mend="download or collect some")
    return tuple(samples)


def read_window(
    sample: Sample, key: tuple[int, int, int], config: WindowConfig,
    *, last_prob: float = 0.0, num_cameras: int = 2, size: tuple[int, int] | None = None,
    stored_size: tuple[int, int] | None = None,
) -> Window:  # fmt: skip
    """Read one window; of the videos only what lies between its key frame and its end.

    Args:
        sample: the episode.
        key: (seed, epoch, index), which decides everything random.
        config: how to cut.
        last_prob: chance of the episode's last window.
        num_cameras: 1 navigation, 2 manipulation too.
        size: height and width to scale frames to, px; None: as stored.
        stored_size: height and width that videos must have, px; None: any.

    Raises: OSError, KeyError, ValueError, TypeError, RuntimeError, av.FFmpegError for an episode
        that is missing or damaged.
    """
    actions, in_hand, template = _read_sensors(sample)
    steps = chosen_steps(actions[1:], key, config, last_prob)
    videos = [sample.folder / video_name(camera, sample.episode) for camera in CAMERAS]
    frames = read_frames(
        videos[:num_cameras], steps.tolist(), len(actions), size=size, stored_size=stored_size
    )
    shift = _integer(max(config.time_range - len(steps), 0) + 1, key, _SHIFT)
    verbs = int(keyed_bits(*_at(key), draw=_VERB) >> np.uint64(32))
    return Window(
        frames=frames,
        actions=actions[steps + 1],
        last_actions=actions[steps],
        time_ids=steps + (shift if config.time_range else 0),
        in_hand=in_hand[steps],
        instruction=sentence_of(template, verbs),
    )


def _read_sensors(
    sample: Sample,
) -> tuple[NDArray[np.int64], NDArray[np.int64], dict[str, Any]]:
    """Action ids and in-hand bits of the T + 1 rows, and the task spec."""
    with h5py.File(sample.folder / SENSORS_FILE) as file:
        group = file[sample.episode]
        names = [decode_text(row) for row in group["last_action_str"][()]]
        in_hand = group["an_object_is_in_hand"][()].reshape(-1).astype(np.int64)
        template = json.loads(decode_text(group["templated_task_spec"][0]))
    actions = np.array([ACTION_IDS[name] for name in names], np.int64)
    if len(actions) < 2 or len(in_hand) != len(actions):
        raise ValueError(f"has {len(actions)} rows of actions and {len(in_hand)} of the hand")
    if "" in names[1:]:
        raise ValueError(f"lacks the action of row {1 + names[1:].index('')}")
    return actions, in_hand, template


def chosen_steps(
    actions: NDArray[np.int64], key: tuple[int, int, int], config: WindowConfig, last_prob: float
) -> NDArray[np.int64]:
    """Steps of an episode of T ``actions`` that make up a window, ascending, at most length."""
    steps = np.arange(len(actions))
    if config.reduce_repeats:
        steps = thinned(actions, key, config.length)
    spare = len(steps) - config.length
    if spare <= 0:
        return steps
    is_last = float(keyed_uniform(*_at(key), draw=_LAST)) < last_prob
    start = spare if is_last else _integer(spare + 1, key, _START)
    return steps[start : start + config.length]


def thinned(
    actions: NDArray[np.int64], key: tuple[int, int, int], fewest: int
) -> NDArray[np.int64]:
    """Steps that stay when repeated actions are thinned out, with the original's chances.

    Three times in four each action that repeats the one before goes with probability 2/3, as long
    as ``fewest`` stay; the earliest go first.
    """
    steps = np.arange(len(actions))
    if float(keyed_uniform(*_at(key), draw=_REDUCE)) >= _REDUCE_PROB:
        return steps
    repeats = 1 + np.flatnonzero(actions[1:] == actions[:-1])
    drawn = keyed_uniform(*_at(key), draw=_DELETE + repeats) < _DELETE_PROB
    most = max(len(steps) - fewest, 0)
    return np.delete(steps, repeats[drawn][:most])


def _at(key: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """The key as keyed random numbers take it: (seed, stream, epoch, index)."""
    seed, epoch, index = key
    return seed, 1, epoch, index


def _integer(high: int, key: tuple[int, int, int], draw: int) -> int:
    return int(keyed_integers(high, *_at(key), draw=draw))


@dataclass(frozen=True, slots=True)
class Interleaving:
    """In which order several sets of samples are read in one epoch."""

    which: NDArray[np.int64]  # [total] set
    nth: NDArray[np.int64]  # [total] how many of that set came before

    @classmethod
    def of(cls, sizes: Sequence[int], weights: Sequence[float] | None = None) -> "Interleaving":
        """Spread evenly, each set in proportion to its weight and long enough to read all of it.

        Without weights item i is of set i mod n and an epoch has n times the longest set's size,
        as in the original; shorter sets repeat.
        """
        share = np.asarray(weights or [1.0] * len(sizes), np.float64)
        share = share / share.sum()
        total = math.ceil(max(size / part for size, part in zip(sizes, share, strict=True)) - 1e-9)
        counts = np.ceil(total * share - 1e-9).astype(np.int64)
        which = np.repeat(np.arange(len(sizes)), counts)
        nth = np.concatenate([np.arange(count) for count in counts])
        due = (nth + 0.5) / share[which]
        order = np.lexsort((which, np.round(due, 9)))
        return cls(which[order], nth[order])

    def __len__(self) -> int:
        return len(self.which)
