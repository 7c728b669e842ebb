"""Names and shapes of the published CHORES trajectories.

``<task>/<split>/<house>/`` holds ``hdf5_sensors.hdf5``, one group an episode, and for each episode
one video a camera; ``<task>/house_id_to_sub_house_id_<split>.json`` lists the episodes of each
house. An episode of T actions has T + 1 rows and frames, the first from before its first action.
"""

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flare.config import parse_json_object
from flare.errors import UserError
from flare.specs import ACTION_NAMES
from flare.tasks.registry import TASK_NAMES

SENSORS_FILE = "hdf5_sensors.hdf5"
CAMERAS = ("raw_navigation_camera", "raw_manipulation_camera")
FRAME_HEIGHT, FRAME_WIDTH = 224, 384  # px
ACTION_BYTES = 200  # of a row of last_action_str

# The policies' ids beyond the twenty actions (the original's embedding has 22 rows).
NO_ACTION = len(ACTION_NAMES)  # before the first action
PAD_LAST_ACTION = NO_ACTION + 1
PAD_ACTION, PAD_TIME, PAD_IN_HAND = -1, -1, 2

# Short names of the actions in the order of ACTION_NAMES; older data store these.
SHORT_ACTION_NAMES = (
    "m", "r", "l", "b", "end", "sub_done", "ls", "rs", "p", "zm", "zp", "yp", "ym", "wp", "wm",
    "yms", "zms", "zps", "yps", "d",
)  # fmt: skip
ACTION_IDS = {
    name: i for names in (ACTION_NAMES, SHORT_ACTION_NAMES) for i, name in enumerate(names)
} | {"": NO_ACTION}

# Our tasks and the published task types, in the order of the registry.
TASK_TYPES = dict(
    zip(
        TASK_NAMES,
        (
            "ObjectNavType", "PickupType", "FetchType", "RoomVisit", "RoomNav",
            "ObjectNavRelAttribute", "ObjectNavAffordance", "ObjectNavRoom", "ObjectNavLocalRef",
            "ObjectNavDescription",
        ),
        strict=True,
    )
)  # fmt: skip
# Task types on disk and in benchmarks: today's names, older ones, and easier starts.
TASKS_OF_TYPE = {kind: name for name, kind in TASK_TYPES.items()} | {
    "SimpleExploreHouse": "RoomVisit",
    "ExploreHouse": "RoomVisit",
    "ObjectNavOpenVocab": "ObjNavDescription",
    "EasyObjectNavType": "ObjectNav",
    "EasyFetchType": "Fetch",
}
# The original's mixtures of data sets.
MIXTURES = {
    "CHORES": ("ObjectNavType", "PickupType", "FetchType", "RoomVisit"),
    "CHORESNAV": (
        "ObjectNavType", "ObjectNavRoom", "ObjectNavRelAttribute", "ObjectNavAffordance",
        "ObjectNavLocalRef", "ObjectNavDescription", "RoomNav",
    ),
}  # fmt: skip


def house_name(house: int) -> str:
    """Folder of a house: its line in the house file, six digits."""
    return f"{house:06d}"


def video_name(camera: str, episode: str) -> str:
    """Video of one camera in one episode."""
    return f"{camera}__{episode}.mp4"


def map_file(task_folder: Path, split: str) -> Path:
    """The list of houses and their episodes."""
    return task_folder / f"house_id_to_sub_house_id_{split}.json"


def read_map(task_folder: Path, split: str) -> dict[str, tuple[str, ...]]:
    """House folder to episode ids, sorted by house.

    Raises:
        UserError: no such file, or it holds something else.
    """
    file = map_file(task_folder, split)
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"cannot be read ({error})",
            file=file,
            mend="give the folder of one task, as flare collect or flare download data wrote it",
        ) from error
    document = parse_json_object(text, mend="download or collect the data again", file=file)
    houses: dict[str, tuple[str, ...]] = {}
    for house, episodes in sorted(document.items()):
        if not isinstance(episodes, list) or not house.isdecimal():
            raise UserError(
                "is no list of episode ids", file=file, key=house, mend="download the data again"
            )
        houses[house] = tuple(str(episode) for episode in episodes)
    return houses


def map_text(houses: dict[str, list[str]]) -> str:
    """What read_map reads."""
    return json.dumps(dict(sorted(houses.items()))) + "\n"


def house_folder(task_folder: Path, split: str, house: str) -> Path:
    """Where a house of the map lies: under its id as given, or with leading zeros."""
    folder = task_folder / split / house
    return folder if folder.is_dir() else task_folder / split / house_name(int(house))


def encode_text(text: str, width: int | None = None) -> NDArray[np.uint8]:
    """UTF-8 bytes, padded with zeros to ``width``; ValueError if they do not fit."""
    data = np.frombuffer(text.encode(), np.uint8)
    if width is None:
        return np.array(data)
    if len(data) > width:
        raise ValueError(f"{text[:40]!r} has {len(data)} bytes, {width} fit")
    out = np.zeros(width, np.uint8)
    out[: len(data)] = data
    return out


def decode_text(row: NDArray[np.uint8]) -> str:
    """The text of one row, without its padding."""
    return bytes(row.tobytes()).rstrip(b"\0").decode()
