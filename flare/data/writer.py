"""Writes the trajectories of one house in the published layout, and reads them back at once."""

from collections.abc import Sequence
from pathlib import Path

import av
import h5py
import numpy as np

from flare.atomic import make_directory, replace_directory, temporary_name, write_bytes
from flare.data.layout import CAMERAS, SENSORS_FILE, house_name, video_name
from flare.data.recorder import Trajectory
from flare.data.video import read_frames
from flare.errors import UserError


def write_house(split_folder: Path, house: int, trajectories: Sequence[Trajectory]) -> int:
    """Write the folder of one house; it appears whole or not at all, and can be read.

    Args:
        split_folder: ``<task>/<split>``; made where it is missing.
        house: its line in the house file.
        trajectories: its episodes, at least one; they get the ids "0", "1", …

    Returns: bytes on disk.
    Raises: UserError for a disk that refuses or does not give back what it got.
    """
    folder = make_directory(split_folder) / house_name(house)
    temporary = make_directory(temporary_name(folder))
    try:
        _write_sensors(temporary / SENSORS_FILE, trajectories)
        for episode, trajectory in enumerate(trajectories):
            for camera, video in zip(CAMERAS, trajectory.videos, strict=True):
                write_bytes(temporary / video_name(camera, str(episode)), video)
        check_house(temporary, trajectories)
        size = sum(file.stat().st_size for file in temporary.iterdir())
        replace_directory(temporary, folder)
    finally:
        if temporary.exists():
            for file in temporary.iterdir():
                file.unlink()
            temporary.rmdir()
    return size


def _write_sensors(path: Path, trajectories: Sequence[Trajectory]) -> None:
    """In memory first: HDF5 does not survive a disk that fills up while it writes."""
    with h5py.File("memory", "w", driver="core", backing_store=False, block_size=2**20) as file:
        for episode, trajectory in enumerate(trajectories):
            group = file.create_group(str(episode))
            for name, rows in trajectory.sensors.items():
                is_text = rows.dtype == np.uint8 and rows.size
                group.create_dataset(name, data=rows, compression="gzip" if is_text else None)
        file.flush()
        write_bytes(path, file.id.get_file_image())


def check_house(folder: Path, trajectories: Sequence[Trajectory]) -> None:
    """Read a written house: every sensor is bit-equal, every video has all its frames.

    Raises:
        UserError: something differs or cannot be read.
    """
    try:
        with h5py.File(folder / SENSORS_FILE) as file:
            for episode, trajectory in enumerate(trajectories):
                for name, rows in trajectory.sensors.items():
                    stored = file[f"{episode}/{name}"][()]
                    if stored.dtype != rows.dtype or not np.array_equal(stored, rows):
                        raise ValueError(f"{episode}/{name} differs")
                count = trajectory.num_actions + 1
                videos = [folder / video_name(camera, str(episode)) for camera in CAMERAS]
                read_frames(videos, [count - 1], count)
    except (OSError, KeyError, ValueError, av.FFmpegError) as error:
        raise UserError(
            f"does not read back as it was written ({error})",
            file=folder,
            mend="check the disk, then run the command again",
        ) from error
