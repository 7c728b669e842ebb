"""Demonstrations: expert episodes in memory and on disk."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from flare.atomic import write_bytes
from flare.errors import UserError
from flare.rollout.noisy_expert import NoisyExpert
from flare.rollout.player import PlayedEpisode, StepView, play_episodes
from flare.tasks.sampler import Episodes, EpisodeSampler
from flare.worlds.world import Worlds

_FORMAT = 3  # 1 lacked in_hand, 2 expert_actions


@dataclass(frozen=True, kw_only=True, slots=True)
class Demonstrations:
    """E expert episodes of M steps in all, packed one after the other."""

    frames: NDArray[np.uint8]  # [M, C, H, W, 3]
    actions: NDArray[np.int64]  # [M] policy action ids, as executed
    # [M] what the expert wanted, which is what is learnt; differs where noise was executed.
    expert_actions: NDArray[np.int64]
    in_hand: NDArray[np.int64]  # [M] 1 while an object was in the hand
    offsets: NDArray[np.int64]  # [E + 1] episode e holds steps offsets[e] to offsets[e + 1]
    instructions: list[str]  # [E]
    action_names: tuple[str, ...]  # what the action ids mean

    @property
    def num_episodes(self) -> int:
        """E."""
        return len(self.instructions)

    def save(self, path: Path) -> None:
        """Write one HDF5 file, whole or not at all.

        It is made in memory: HDF5 does not survive a disk that fills up while it writes.
        """
        with h5py.File("memory", "w", driver="core", backing_store=False, block_size=2**24) as file:
            file.attrs["format"] = _FORMAT
            file.attrs["action_names"] = list(self.action_names)
            file.create_dataset("frames", data=self.frames, chunks=(1, *self.frames.shape[1:]),
                                compression="lzf")  # fmt: skip
            file.create_dataset("actions", data=self.actions)
            file.create_dataset("expert_actions", data=self.expert_actions)
            file.create_dataset("in_hand", data=self.in_hand)
            file.create_dataset("offsets", data=self.offsets)
            file.create_dataset("instructions", data=[s.encode() for s in self.instructions])
            file.flush()
            write_bytes(path, file.id.get_file_image())

    @classmethod
    def load(cls, path: Path) -> "Demonstrations":
        """Read what save() wrote; UserError for anything else."""
        try:
            with h5py.File(path) as file:
                if file.attrs.get("format") != _FORMAT:
                    raise UserError(
                        f"has format {file.attrs.get('format')!r}, this version reads {_FORMAT}",
                        file=str(path), mend="collect the demonstrations again: flare collect",
                    )  # fmt: skip
                loaded = cls(
                    frames=file["frames"][:],
                    actions=file["actions"][:],
                    expert_actions=file["expert_actions"][:],
                    in_hand=file["in_hand"][:],
                    offsets=file["offsets"][:],
                    instructions=[s.decode() for s in file["instructions"][:]],
                    action_names=tuple(str(name) for name in file.attrs["action_names"]),
                )
                loaded.check()
                return loaded
        except (OSError, KeyError, ValueError, TypeError, AttributeError) as error:
            raise UserError(
                f"is no demonstration file ({error})",
                file=str(path), mend="write one with flare collect",
            ) from error  # fmt: skip

    def check_frames(self, wanted: tuple[int, ...], file: Path) -> None:
        """Raise UserError unless frames have the shape [C, H, W, 3] that a policy sees."""
        if self.frames.shape[1:] != wanted:
            raise UserError(
                f"holds frames of {list(self.frames.shape[1:])} where the policy sees "
                f"{list(wanted)}",
                file=file,
                mend="give the world.camera that they were collected with, or collect anew",
            )

    def check(self) -> None:
        """Raise ValueError unless the arrays belong together and hold what they should."""
        steps, offsets = len(self.actions), self.offsets
        if self.frames.dtype != np.uint8 or self.frames.ndim != 5 or len(self.frames) != steps:
            raise ValueError(
                f"frames are {self.frames.dtype} {list(self.frames.shape)}, "
                f"not uint8 [{steps}, cameras, height, width, 3]"
            )
        if self.in_hand.shape != self.actions.shape:
            raise ValueError(f"in_hand has {len(self.in_hand)} of {steps} steps")
        if len(offsets) != self.num_episodes + 1 or offsets[0] != 0 or offsets[-1] != steps:
            raise ValueError(f"offsets do not divide {steps} steps into {self.num_episodes} parts")
        if steps == 0 or (np.diff(offsets) < 1).any():
            raise ValueError("an episode without steps")
        if self.expert_actions.shape != self.actions.shape:
            raise ValueError(f"expert_actions has {len(self.expert_actions)} of {steps} steps")
        for ids in (self.actions, self.expert_actions):
            if ids.min() < 0 or ids.max() >= len(self.action_names):
                count = len(self.action_names)
                raise ValueError(f"an action that is none of the {count} named ones")


class DemonstrationWriter:
    """Gathers steps of N worlds as they come and gives back whole episodes in list order."""

    def __init__(self) -> None:
        self._frames: dict[int, list[NDArray[np.uint8]]] = {}
        self._wanted: dict[int, list[int]] = {}
        self._in_hand: dict[int, list[int]] = {}
        self._kept: dict[int, NDArray[np.int64]] = {}
        self._instructions: dict[int, str] = {}

    def on_step(self, view: StepView, wanted: NDArray[np.int64]) -> None:
        """Keep the frames of each observation and what the expert wanted to do then, [N]."""
        for world in np.flatnonzero(view.episode >= 0):
            episode = int(view.episode[world])
            self._frames.setdefault(episode, []).append(view.frames[world].copy())
            held = int(view.facts["held_object"][world] >= 0)
            self._in_hand.setdefault(episode, []).append(held)
            self._wanted.setdefault(episode, []).append(int(wanted[world]))

    def finish(self, record: PlayedEpisode, instruction: str) -> bool:
        """Keep a successful episode, drop a failed one; True when kept."""
        if not record.success:
            for rows in (self._frames, self._wanted, self._in_hand):
                del rows[record.episode]
            return False
        self._kept[record.episode] = record.actions
        self._instructions[record.episode] = instruction
        return True

    def demonstrations(
        self, action_names: tuple[str, ...], frame_shape: tuple[int, ...]
    ) -> Demonstrations:
        """All kept episodes; none is fine."""
        order = sorted(self._kept)
        lengths = [len(self._kept[e]) for e in order]
        frames, none = [np.zeros((0, *frame_shape), np.uint8)], np.zeros(0, np.int64)
        return Demonstrations(
            frames=np.concatenate(frames + [np.stack(self._frames[e]) for e in order]),
            actions=np.concatenate([none] + [self._kept[e] for e in order]),
            expert_actions=_joined([self._wanted[e] for e in order]),
            in_hand=_joined([self._in_hand[e] for e in order]),
            offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            instructions=[self._instructions[e] for e in order],
            action_names=action_names,
        )


def _joined(rows: list[list[int]]) -> NDArray[np.int64]:
    return np.array([value for row in rows for value in row], np.int64)


@dataclass(frozen=True, kw_only=True, slots=True)
class CollectionResult:
    """Demonstrations and what it took to get them."""

    demonstrations: Demonstrations
    episodes: Episodes  # all that were drawn
    successes: dict[int, bool]  # of those that were played, by their place in episodes
    failures: list[PlayedEpisode]

    @property
    def num_played(self) -> int:
        """How many episodes were played, failures among them."""
        return len(self.successes)


def collect_demonstrations(
    worlds: Worlds,
    sampler: EpisodeSampler,
    num_episodes: int,
    *,
    first: int = 0,
    noise: float = 0.0,
    on_episode: Callable[[PlayedEpisode], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    on_observation: Callable[[StepView, NDArray[np.int64]], None] | None = None,
) -> CollectionResult:
    """Play the expert in num_episodes sampled episodes and keep those it masters.

    Args:
        worlds: N worlds over the sampler's houses.
        sampler: its tasks judge success; draws episode i with the key (seed, env 0, episode i).
        num_episodes: episodes to play.
        first: number i of the first of them.
        noise: share of the actions that are drawn at random (NoisyExpert).
        on_episode: progress hook.
        should_stop: True ends the collection early with what is there, perhaps nothing.
        on_observation: as play_episodes has it.

    Raises:
        UserError: no episode of those that were played succeeded.
    """
    numbers = np.arange(first, first + num_episodes)
    episodes = sampler.sample(np.zeros(num_episodes, np.int64), numbers)
    expert = NoisyExpert(worlds, sampler.mixture, episodes, noise)
    writer = DemonstrationWriter()
    failures: list[PlayedEpisode] = []

    def finish(record: PlayedEpisode) -> None:
        if not writer.finish(record, episodes.instructions[record.episode]):
            failures.append(record)
        if on_episode is not None:
            on_episode(record)

    played = play_episodes(
        worlds, sampler.mixture, episodes, expert, num_actions=len(worlds.action_names),
        on_step=lambda view, _: writer.on_step(view, expert.wanted), on_episode=finish,
        should_stop=should_stop, on_observation=on_observation,
    )  # fmt: skip
    if played and len(failures) == len(played):
        raise UserError(
            f"the expert succeeded in none of {len(played)} episodes",
            key="num_episodes",
            mend="check the houses with `flare houses check` and task.max_steps",
        )
    return CollectionResult(
        demonstrations=writer.demonstrations(worlds.action_names, worlds.camera.frame_shape),
        episodes=episodes,
        successes={record.episode: record.success for record in played},
        failures=failures,
    )


def padded_batch(
    offsets: NDArray[np.int64], chosen: NDArray[np.int64], values: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Steps of the chosen episodes side by side.

    Args:
        offsets: [E + 1], of Demonstrations.
        chosen: [B] episode indices.
        values: [M, ...] one row per step.

    Returns:
        [T, B, ...] padded with zeros to the longest, and the mask of real steps [T, B].
    """
    starts = offsets[chosen]
    lengths = offsets[chosen + 1] - starts
    step = np.arange(lengths.max())[:, None]
    valid = step < lengths
    rows = np.where(valid, starts + step, starts)
    out = values[rows]
    out[~valid] = 0
    return out, valid
