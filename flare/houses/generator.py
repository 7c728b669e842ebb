"""Houses made from a seed: layout, doors, furniture, goal objects, small things, the agent's start.

A house is a pure function of (seed, split, index, config): the same bytes on any number of workers,
and two splits never share a house because the split is part of every random number's key.
"""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

from flare.assets.looks import GOAL_TYPES
from flare.errors import UserError, require
from flare.houses.document import Document, Pose, house_document
from flare.houses.doors import place_doors, place_windows
from flare.houses.draws import Draws
from flare.houses.files import write_houses
from flare.houses.furniture import Floor, furnish
from flare.houses.kinds import FETCHED_TYPES
from flare.houses.layout import RoomSpec, make_layout
from flare.houses.library import categories
from flare.houses.small_objects import (
    choose_goals,
    fetchable_types,
    hang_paintings,
    place_goal,
    strew,
)
from flare.houses.styles import STYLES

SPLITS = ("train", "val", "test")

_ATTEMPTS = 200
_CHUNK = 8  # houses a worker makes at a time


@dataclass(frozen=True, kw_only=True, slots=True)
class GeneratorConfig:
    """What the houses are to be like. Pairs are (smallest, largest)."""

    style: str = "procthor"  # or "plain": sparse, few assets and materials
    num_rooms: tuple[int, int] = (1, 10)
    room_area: dict[str, tuple[float, float]] = field(  # m²
        default_factory=lambda: {
            "LivingRoom": (8.0, 77.0),
            "Kitchen": (10.5, 75.0),
            "Bedroom": (11.8, 77.0),
            "Bathroom": (5.4, 48.0),
        }
    )
    goal_types: tuple[str, ...] = GOAL_TYPES  # types to search for
    num_goal_types: int | None = None  # each house holds at least so many; None: all at home in it
    furniture_density: float = 1.0  # scales the chance of each piece
    small_object_density: float = 1.0  # scales the number of things on tops
    half_open_doors: float = 0.1  # share of the doors between rooms; ProcTHOR has none
    ceiling_height: tuple[float, float] = (2.55, 4.45)  # m
    outer_shape: str = "any"  # or "rectangle"

    def __post_init__(self) -> None:
        """Refuse what no house can be made from. Raises UserError."""
        low, high = self.num_rooms
        if not 1 <= low <= high <= 12:
            raise UserError(
                f"is {self.num_rooms}", key="num_rooms", mend="give 1 ≤ smallest ≤ largest ≤ 12"
            )
        for name in ("furniture_density", "small_object_density"):
            density = getattr(self, name)
            require(0 <= density <= 10, f"generator.{name}", density, "give 0 to 10")
        low_m, high_m = self.ceiling_height
        require(
            2 <= low_m <= high_m <= 10,
            "generator.ceiling_height",
            self.ceiling_height,
            "give 2 ≤ smallest ≤ largest ≤ 10 m",
        )
        if self.outer_shape not in ("any", "rectangle"):
            raise UserError(
                f"is {self.outer_shape!r}", key="outer_shape", mend="write 'any' or 'rectangle'"
            )
        if self.style not in STYLES:
            raise UserError(
                f"is {self.style!r}", key="style", mend=f"use one of {', '.join(STYLES)}"
            )
        if not 0.0 <= self.half_open_doors <= 1.0:
            raise UserError(
                f"is {self.half_open_doors}", key="half_open_doors", mend="give a share of 0 to 1"
            )
        room_types = STYLES[self.style].furniture
        unknown = sorted(set(self.room_area) - set(room_types))
        if unknown or not self.room_area:
            raise UserError(
                f"has the room types {unknown}" if unknown else "is empty",
                key="room_area",
                mend=f"use some of {', '.join(room_types)}",
            )
        strange = sorted(t for t in self.goal_types if not categories().get(t, {}).get("assets"))
        if strange:
            raise UserError(
                f"has types without a built-in asset: {', '.join(strange)}",
                key="goal_types",
                mend="use types of flare/assets/library.json that list assets",
            )
        if self.num_goal_types is not None and not (
            0 <= self.num_goal_types <= len(self.goal_types)
        ):
            raise UserError(
                f"is {self.num_goal_types} of {len(self.goal_types)} goal types",
                key="num_goal_types",
                mend="ask for no more than there are",
            )


def generate_house(seed: int, split: str, index: int, config: GeneratorConfig) -> Document:
    """Make one house.

    Args:
        seed: of the data set.
        split: "train", "val" or "test".
        index: which house of the split.
        config: what it is to be like.

    Returns: a ProcTHOR house document, schema 1.0.0.
    Raises: UserError if no house could be made of this config in 200 attempts.
    """
    if split not in SPLITS:
        raise UserError(f"there is no split {split!r}", mend=f"use one of {', '.join(SPLITS)}")
    key = (seed, SPLITS.index(split), index)
    room_types = _rooms_first(config, Draws(*key, _ATTEMPTS))
    for attempt in range(_ATTEMPTS):
        house = _attempt(config, room_types, Draws(*key, attempt))
        if house is not None:
            return house
    raise UserError(
        f"no house of {config.num_rooms[0]}–{config.num_rooms[1]} rooms came out of "
        f"{_ATTEMPTS} attempts",
        mend="allow larger room areas, less furniture or fewer goal types",
    )


def generate_houses(
    path: str | os.PathLike[str],
    *,
    count: int,
    split: str,
    seed: int,
    config: GeneratorConfig,
    num_workers: int = 1,
    progress: Callable[[int], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> bool:
    """Write a file of houses, the same bytes for any number of workers.

    Args:
        path: a .jsonl.gz or .jsonl file; replaced as a whole when all houses are made.
        count: how many houses.
        split: "train", "val" or "test".
        seed: of the data set.
        config: what the houses are to be like.
        num_workers: processes; 1 makes the houses in this one.
        progress: called after each house with the number made so far.
        should_stop: asked after each house; True leaves the file unwritten.

    Returns: whether the file was written.
    """
    if count < 1:
        raise UserError(f"is {count}", key="count", mend="make at least one house")
    make = partial(generate_house, seed, split, config=config)

    def counted(houses: Iterator[Document]) -> Iterator[Document]:
        for made, house in enumerate(houses, start=1):
            yield house
            if progress is not None:
                progress(made)
            if should_stop is not None and should_stop():
                raise _Stopped

    try:
        if num_workers <= 1:
            write_houses(path, counted(map(make, range(count))))
            return True
        with ProcessPoolExecutor(num_workers) as pool:
            try:
                with _interrupts_blocked():  # the workers start here
                    houses = pool.map(make, range(count), chunksize=_CHUNK)
                write_houses(path, counted(houses))
            finally:  # of what is left after a stop or an error nothing is made
                pool.shutdown(wait=False, cancel_futures=True)
    except _Stopped:
        return False
    return True


class _Stopped(Exception):
    """should_stop said so."""


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Processes started within never see Ctrl-C, which reaches all: we tell them when to stop."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _attempt(config: GeneratorConfig, room_types: Sequence[str], draws: Draws) -> Document | None:
    """Make a house from one stream of numbers; None where they lead into a corner."""
    style = STYLES[config.style]
    specs = _room_specs(config, room_types, draws)
    layout = make_layout(specs, config.outer_shape, style, draws)
    if layout is None:
        return None
    ways = place_doors(layout, style, config.half_open_doors, draws)
    if ways is None:
        return None
    low, high = config.ceiling_height
    ceiling = round(low + (high - low) * draws.unit() ** style.ceiling_skew, 3)
    windows = place_windows(layout, ways.holes, ceiling, style, draws)
    floor = Floor(layout, ways, windows, style)
    if not floor.rooms_joined:
        return None
    furnish(floor, config.furniture_density, draws)
    strew(floor, config.small_object_density, draws)
    goals = choose_goals(floor, config.goal_types, config.num_goal_types, draws)
    if not _place_goals(floor, goals, draws):
        return None
    holes = ways.holes + windows
    paintings = hang_paintings(floor, holes, ceiling, draws)
    x, z = draws.choice(floor.standing_places())
    return house_document(
        layout=layout,
        holes=holes,
        passages=ways.passages,
        objects=floor.placed + paintings,
        start=Pose(x=x, z=z, yaw_deg=30.0 * draws.integer(0, 11)),
        ceiling_height=ceiling,
        style=style,
        draws=draws,
    )


def _place_goals(floor: Floor, goals: list[str], draws: Draws) -> bool:
    """Place what is missing; what was within reach must be so still at the end."""
    if not all(place_goal(floor, goal, draws) for goal in goals):
        return False
    if floor.style.arm_reach is None:
        return True
    return fetchable_types(floor).issuperset(FETCHED_TYPES.intersection(goals))


def _rooms_first(config: GeneratorConfig, draws: Draws) -> Sequence[str]:
    """Choose the rooms by the style's programmes; none if they are chosen anew at each attempt."""
    style = STYLES[config.style]
    if not style.rooms_first:
        return []
    count = draws.integer(*config.num_rooms)
    programmes = [
        programme
        for programme in style.programmes.get(count, ())
        if set(programme) <= set(config.room_area)
    ]
    return draws.choice(programmes) if programmes else _types_in_turn(config, count, draws)


def _room_specs(config: GeneratorConfig, room_types: Sequence[str], draws: Draws) -> list[RoomSpec]:
    """Areas of the rooms; in a house chosen first they are large or small together."""
    if not room_types:
        types = _types_in_turn(config, draws.integer(*config.num_rooms), draws)
        return [
            RoomSpec(room_type=name, area=draws.uniform(*config.room_area[name])) for name in types
        ]
    shared = draws.unit()
    specs = []
    for name in room_types:
        low, high = config.room_area[name]
        area = low * (high / low) ** ((shared + draws.unit()) / 2)
        specs.append(RoomSpec(room_type=name, area=area))
    return specs


def _types_in_turn(config: GeneratorConfig, count: int, draws: Draws) -> Sequence[str]:
    """Each type once before any comes again; of several rooms, one is a living room."""
    types: list[str] = []
    while len(types) < count:
        types += draws.shuffled(sorted(config.room_area))
    if count > 1 and "LivingRoom" in config.room_area:
        types.remove("LivingRoom")
        types.insert(0, "LivingRoom")
    return types[:count]
