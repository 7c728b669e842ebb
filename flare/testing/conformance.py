"""What every implementation of ``Worlds`` must do, as checks that any of them can be put to.

    subject = Subject(make=lambda threads: MyWorlds(..., num_threads=threads), specs=specs)
    for check in CHECKS:
        check(subject)

Each check makes its own worlds and raises ConformanceError at the first broken promise. Geometry is
judged where the worlds are ``Inspectable`` (flare/testing/watch.py).
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from flare.testing.random_play import random_actions
from flare.testing.watch import ConformanceError, EpisodeWatch, Inspectable
from flare.worlds.embedded import FlareError
from flare.worlds.world import Worlds, all_env_ids

_FILLS = (0x5A, 0xC3)  # what is in the caller's arrays before; a row not written keeps it
_THREADS = (1, 2, 5)


@dataclass(frozen=True, kw_only=True)
class Subject:
    """Worlds under test."""

    make: Callable[[int], Worlds]  # number of threads -> new worlds without episodes, always alike
    specs: NDArray[np.void]  # [N] starts, N at least 2
    num_steps: int = 40  # of the random episodes
    seed: int = 0  # of their actions


@dataclass(slots=True)
class Play:
    """Worlds with the caller's arrays beside them, filled with something else before."""

    worlds: Worlds
    fill: int = _FILLS[0]
    frames: NDArray[np.uint8] = field(init=False)
    facts: NDArray[np.void] = field(init=False)

    def __post_init__(self) -> None:
        n = self.worlds.num_envs
        self.frames = np.full((n, *self.worlds.camera.frame_shape), self.fill, np.uint8)
        self.facts = np.zeros(n, self.worlds.facts_dtype)
        self.smear()

    def smear(self) -> None:
        """Fill the arrays again: whatever is read from them later was written since."""
        self.frames[:] = self.fill
        self.facts.view(np.uint8)[:] = self.fill

    def reset(self, specs: NDArray[np.void]) -> "Play":
        """Start all envs."""
        self.worlds.reset(all_env_ids(self.worlds.num_envs), specs, self.frames, self.facts)
        return self

    def step(self, actions: NDArray[np.int64]) -> None:
        """Step into smeared arrays."""
        self.smear()
        self.worlds.step(actions, self.frames, self.facts)

    def rows(self) -> bytes:
        """All that was written last."""
        return self.frames.tobytes() + self.facts.tobytes()


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise ConformanceError(what)


def _start(subject: Subject, threads: int = 1, fill: int = _FILLS[0]) -> Play:
    return Play(subject.make(threads), fill).reset(subject.specs)


def _actions(subject: Subject, worlds: Worlds) -> NDArray[np.int64]:
    count = len(subject.specs)
    return random_actions(worlds.action_names, subject.num_steps, count, (subject.seed,))


def check_rows_are_written_fully(subject: Subject) -> None:
    """Whatever was in frames and facts before, reset and step leave the same there."""
    plays = [_start(subject, fill=fill) for fill in _FILLS]
    for actions in _actions(subject, plays[0].worlds)[:5]:
        _require(plays[0].rows() == plays[1].rows(), "a byte of frames or facts is not written")
        for play in plays:
            play.step(actions)
    _require(plays[0].rows() == plays[1].rows(), "a byte of frames or facts is not written")


def check_only_listed_rows_are_written(subject: Subject) -> None:
    """Reset and restore of some envs leave the others' rows and worlds alone."""
    play = _start(subject)
    for actions in _actions(subject, play.worlds)[:3]:
        play.step(actions)
    states = play.worlds.save_state()
    some = np.arange(0, len(subject.specs), 2, dtype=np.int32)
    others = np.setdiff1d(all_env_ids(len(subject.specs)), some)
    for name in ("reset", "restore"):
        play.smear()
        untouched = play.frames[others].tobytes() + play.facts[others].tobytes()
        if name == "reset":
            play.worlds.reset(some, subject.specs[some], play.frames, play.facts)
        else:
            play.worlds.restore(some, states[some], play.frames, play.facts)
        after = play.frames[others].tobytes() + play.facts[others].tobytes()
        _require(untouched == after, f"{name} wrote rows that were not listed")
        kept = play.worlds.save_state()[others]
        _require(np.array_equal(kept, states[others]), f"{name} changed envs not listed")


def check_a_refused_reset_changes_nothing(subject: Subject) -> None:
    """One bad start among good ones: FlareError, and no env has changed."""
    play = _start(subject)
    states, rows = play.worlds.save_state(), play.rows()
    for name, value in (("house", 1 << 30), ("num_targets", 99), ("x", np.nan), ("goal", -1)):
        specs = subject.specs.copy()
        specs[name][-1] = value
        try:
            play.reset(specs)
        except FlareError:
            _require(play.rows() == rows, f"a refused reset ({name}) wrote rows")
            unchanged = np.array_equal(play.worlds.save_state(), states)
            _require(unchanged, f"a refused reset ({name}) changed an env")
            continue
        raise ConformanceError(f"a start whose {name} is {value} is not refused")


def check_promises_of_every_step(subject: Subject) -> None:
    """Facts and frames of random episodes (EpisodeWatch), and object ids before and after."""
    play = _start(subject)
    before = _object_ids(play.worlds)
    watch = EpisodeWatch(play.worlds, subject.specs, play.frames, play.facts)
    for actions in _actions(subject, play.worlds):
        play.step(actions)
        watch.observe(actions, play.frames, play.facts)
    _require(_object_ids(play.worlds) == before, "object ids changed in an episode")


def _object_ids(worlds: Worlds) -> list[list[str]]:
    if not isinstance(worlds, Inspectable):
        return []
    return [[item["id"] for item in house.objects()] for house in worlds.houses]


def check_frames_that_are_not_wanted(subject: Subject) -> None:
    """With ``draw`` the facts are the same, and so are the frames that are wanted."""
    drawn, blind = _start(subject), _start(subject)
    masks = np.random.default_rng(subject.seed).random((subject.num_steps, len(subject.specs)))
    for actions, mask in zip(_actions(subject, drawn.worlds), masks < 0.5, strict=True):
        drawn.step(actions)
        blind.smear()
        blind.worlds.step(actions, blind.frames, blind.facts, mask)
        _require(drawn.facts.tobytes() == blind.facts.tobytes(), "facts depend on draw")
        wanted = np.array_equal(drawn.frames[mask], blind.frames[mask])
        _require(wanted, "a wanted frame depends on the others")


def check_the_same_on_any_number_of_threads(subject: Subject) -> None:
    """The same starts and actions give the same bytes."""
    plays = [_start(subject, threads) for threads in _THREADS]
    for actions in _actions(subject, plays[0].worlds):
        for play in plays:
            play.step(actions)
        _require(len({play.rows() for play in plays}) == 1, "results depend on threads")


def check_restored_worlds_go_on_exactly(subject: Subject) -> None:
    """Saved states in other worlds: the same bytes at once, in every step after, and when saved."""
    play, other = _start(subject), Play(subject.make(1), _FILLS[1])
    actions = _actions(subject, play.worlds)
    half = len(actions) // 2
    for row in actions[:half]:
        play.step(row)
    states = play.worlds.save_state().copy()
    other.worlds.restore(all_env_ids(len(states)), states, other.frames, other.facts)
    _require(np.array_equal(other.worlds.save_state(), states), "restore changes the state")
    _require(other.rows() == play.rows(), "restored rows differ from those of the saved worlds")
    for row in actions[half:]:
        other.step(row)
        play.step(row)
        _require(other.rows() == play.rows(), "restored worlds go on differently")
    saved = np.array_equal(other.worlds.save_state(), play.worlds.save_state())
    _require(saved, "restored worlds end in another state")


CHECKS: tuple[Callable[[Subject], None], ...] = (
    check_rows_are_written_fully,
    check_only_listed_rows_are_written,
    check_a_refused_reset_changes_nothing,
    check_promises_of_every_step,
    check_frames_that_are_not_wanted,
    check_the_same_on_any_number_of_threads,
    check_restored_worlds_go_on_exactly,
)
