"""Whether the houses of a file can be played, and what of them would be guessed."""

import json
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from flare.houses.bodies import bodies_of
from flare.houses.files import read_houses
from flare.houses.schema import schema_faults


@dataclass(frozen=True, kw_only=True, slots=True)
class HouseCheck:
    """What came out about one house; everything below ``reason`` is empty if it does not load."""

    source: str  # "val.jsonl.gz line 3"
    ok: bool  # it loads, the start is free and every room can be reached
    reason: str  # why not, "" if ok
    room_types: tuple[str, ...] = ()
    num_objects: int = 0  # children counted
    unknown_types: tuple[tuple[str, int], ...] = ()  # type, how many; drawn as a plain body
    guessed_sizes: tuple[tuple[str, int], ...] = ()  # type, how many; box from the type's default
    unreachable_rooms: tuple[str, ...] = ()  # ids
    start_is_free: bool = False  # in some direction of view
    schema_faults: tuple[str, ...] = ()  # what AI2-THOR may refuse; no hindrance here
    hash: int = 0  # of the document, as manifests record it

    def __str__(self) -> str:
        """One line: the verdict, then what is guessed."""
        if self.reason:
            return f"{self.source}: {self.reason}" if self.room_types else self.reason
        guessed = sum(count for _, count in self.guessed_sizes)
        note = f", {guessed} of guessed size" if guessed else ""
        return f"{self.source}: {len(self.room_types)} rooms, {self.num_objects} objects{note}"


def check_file(
    path: str | os.PathLike[str], limit: int | None = None, assets: Path | None = None
) -> list[HouseCheck]:
    """Check every house of a file (``read_houses``) with the simulator's own loader.

    Args:
        path: a .jsonl.gz, .jsonl or .json file.
        limit: check no more than this many houses.
        assets: a pack, as for ``check_house``.

    Raises: UserError if the file itself cannot be read; a bad house is a verdict, not an error.
    """
    return [check_house(source, text, assets) for source, text in read_houses(path, limit)]


def check_house(source: str, text: str, assets: Path | None = None) -> HouseCheck:
    """Check one house document.

    Args:
        source: names it in the verdict.
        text: the document.
        assets: a pack (``flare assets build``), whose objects have their true box.

    Raises: UserError if the pack is missing or damaged.
    """
    # Here and not above: reading and drawing house files works without the compiled core.
    from flare.worlds.embedded import HouseFormatError, load_house, open_assets

    try:
        house = load_house(text, source, assets=assets)
    except HouseFormatError as error:
        return HouseCheck(source=source, ok=False, reason=str(error))
    document = json.loads(text)
    bodies = bodies_of(document)
    measured = () if assets is None else open_assets(assets)[1]
    reached = set(house.reachable_rooms().tolist())
    rooms = house.rooms()
    closed = tuple(room["id"] for index, room in enumerate(rooms) if index not in reached)
    x, z, _ = house.start
    start_is_free = not all(house.blocked(x, z, yaw) for yaw in range(0, 360, 30))
    return HouseCheck(
        source=source,
        ok=start_is_free and not closed,
        reason=_reason(start_is_free, closed),
        room_types=tuple(room["type"] for room in rooms),
        num_objects=len(bodies),
        unknown_types=_counted(body.type for body in bodies if not body.known_type),
        guessed_sizes=_counted(
            body.type for body in bodies if not body.known_size and body.asset_id not in measured
        ),
        unreachable_rooms=closed,
        start_is_free=start_is_free,
        schema_faults=tuple(schema_faults(document)),
        hash=house.hash,
    )


def _reason(start_is_free: bool, closed: tuple[str, ...]) -> str:
    faults = []
    if closed:
        faults.append(f"no way into {', '.join(closed)}")
    if not start_is_free:
        faults.append("the agent's start is blocked")
    return " and ".join(faults)


def _counted(types: Iterable[str]) -> tuple[tuple[str, int], ...]:
    """Count types, the most frequent first, equal ones by name."""
    counts = Counter(types)
    return tuple(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))
