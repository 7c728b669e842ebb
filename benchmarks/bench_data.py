"""Windows of trajectories in the published layout and size: 100 steps of both cameras at a time.

"flare" is the loader, a thread a core, started anew for each call; "flare, 1 thread" the reading
alone. "plain" decodes both videos whole, picture by picture as PyAV's examples do, reads every
sensor and cuts the window out; "plain, kept converter" is the same with our conversion of colours.
The limit decodes and converts 100 pictures from a key frame on and does nothing else.
"""

import contextlib
import itertools
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import av
import h5py
import numpy as np
from numpy.typing import NDArray

from benchmarks.run import Case, Contenders
from flare.assembly import TaskConfig, WorldConfig, make_sampler, make_worlds
from flare.atomic import write_text
from flare.data.layout import CAMERAS, SENSORS_FILE, map_file, map_text, video_name
from flare.data.loader import ChoresConfig, WindowLoader
from flare.data.recorder import Trajectory, TrajectoryRecorder
from flare.data.video import read_frames
from flare.data.windows import Sample, WindowConfig, read_window
from flare.data.writer import write_house
from flare.houses.generator import GeneratorConfig, generate_house
from flare.recipes.collect import published_world
from flare.rng import keyed_integers
from flare.rollout.player import StepView, play_episodes
from flare.worlds.embedded import load_house

NUM_EPISODES = 4
BATCH = 4  # windows a call


class Wanderer:
    """Walks and turns at random, so that the pictures move as an agent's do; never done."""

    def begin(self, worlds: NDArray[np.int64], episodes: NDArray[np.int64]) -> None:
        """Nothing to forget."""

    def act(self, view: StepView) -> NDArray[np.int64]:
        """Mostly ahead, else a turn."""
        drawn = keyed_integers(6, 0, 0, np.maximum(view.episode, 0), view.time_step)
        return np.where(drawn < 4, 0, drawn - 3)


def write_trajectories(folder: Path, num_steps: int) -> list[Sample]:
    """Episodes of so many steps in generated houses."""
    house = load_house(json.dumps(generate_house(0, "train", 0, GeneratorConfig())), "generated")
    task = TaskConfig(max_steps=num_steps)
    worlds = make_worlds([house], published_world(WorldConfig(num_envs=NUM_EPISODES)))
    sampler = make_sampler([house], task, 0)
    episodes = sampler.sample(np.zeros(NUM_EPISODES, np.int64), np.arange(NUM_EPISODES))
    recorder = TrajectoryRecorder(worlds, sampler.mixture, episodes, num_threads=2)
    trajectories: list[Trajectory] = []
    play_episodes(
        worlds, sampler.mixture, episodes, Wanderer(), num_actions=len(worlds.action_names),
        on_observation=recorder.on_observation,
        on_episode=lambda record: trajectories.append(recorder.finish(record.episode)),
    )  # fmt: skip
    recorder.close()
    write_house(folder / "ObjectNavType" / "train", 0, trajectories)
    ids = [str(i) for i in range(NUM_EPISODES)]
    write_text(map_file(folder / "ObjectNavType", "train"), map_text({"000000": ids}))
    return [Sample(folder / "ObjectNavType" / "train" / "000000", episode) for episode in ids]


def read_whole(
    sample: Sample, start: int, length: int, num_frames: int, *, keep_converter: bool
) -> NDArray[np.uint8]:
    """What a window costs without care: all frames, all sensors, then a slice."""
    cameras = []
    for camera in CAMERAS:
        path = sample.folder / video_name(camera, sample.episode)
        if keep_converter:
            frames = read_frames([path], range(num_frames), num_frames)[:, 0]
        else:
            with av.open(str(path)) as container:
                pictures = container.decode(video=0)
                frames = np.stack([picture.to_ndarray(format="rgb24") for picture in pictures])
        cameras.append(frames[start : start + length])
    with h5py.File(sample.folder / SENSORS_FILE) as file:
        sensors: list[object] = []
        file[sample.episode].visititems(
            lambda _, item: sensors.append(item[()]) if isinstance(item, h5py.Dataset) else None
        )
    return np.stack(cameras, axis=1)


@contextlib.contextmanager
def windows_setup(num_steps: int) -> Iterator[Contenders]:
    """The contenders over one folder of episodes of num_steps."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        samples = write_trajectories(folder, num_steps)
        window, counter = WindowConfig(), itertools.count()
        threads = len(os.sched_getaffinity(0))
        config = ChoresConfig(num_workers=threads, prefetch=1, window=window)
        loader = WindowLoader(folder, config, batch_size=1, seed=0)

        def load() -> None:
            """From a standstill: nothing was read ahead while the others had their turns."""
            first = next(counter)
            batches = loader.batches(first)
            for _ in itertools.islice(batches, BATCH):
                next(counter)
            batches.close()

        def sequential() -> None:
            for index in itertools.islice(counter, BATCH):
                read_window(samples[index % NUM_EPISODES], (0, 0, index), window)

        def plain(*, keep_converter: bool) -> None:
            for index in itertools.islice(counter, BATCH):
                start = int(keyed_integers(num_steps - window.length + 1, 0, 0, 0, index))
                sample = samples[index % NUM_EPISODES]
                read_whole(
                    sample, start, window.length, num_steps + 1, keep_converter=keep_converter
                )

        def limit() -> None:
            for index in itertools.islice(counter, BATCH):
                sample = samples[index % NUM_EPISODES]
                paths = [sample.folder / video_name(camera, sample.episode) for camera in CAMERAS]
                read_frames(paths, range(window.length), num_steps + 1)

        size = sum(file.stat().st_size for file in samples[0].folder.iterdir())
        yield Contenders(
            {
                "flare": load,
                "flare, 1 thread": sequential,
                "plain": lambda: plain(keep_converter=False),
                "plain, kept converter": lambda: plain(keep_converter=True),
                "decode 100 alone": limit,
            },
            measured={"bytes per step": size / (NUM_EPISODES * num_steps)},
        )


CASES = [
    Case(
        id=f"data.windows/T={num_steps}",
        unit="windows/s",
        work=BATCH,
        setup=lambda num_steps=num_steps: windows_setup(num_steps),  # type: ignore[misc]
        limit="decode 100 alone",
        config={"frames": "384x224", "cameras": 2, "window": 100, "num_steps": num_steps},
    )
    for num_steps in (200, 600)
]
