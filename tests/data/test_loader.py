"""The loader: order, resuming, ranks, faults."""

import shutil
from itertools import islice

import numpy as np
import pytest

from flare.data.layout import read_map
from flare.data.loader import ChoresConfig, WindowLoader
from flare.data.windows import WindowConfig
from flare.errors import UserError

WINDOW = WindowConfig(length=8)


def loader(folder, **options):
    config = {
        name: options.pop(name)
        for name in ("mixture", "max_bad_share", "preset", "num_workers")
        if name in options
    }
    config = ChoresConfig(window=WINDOW, **{"num_workers": 2, **config})
    return WindowLoader(folder, config, **{"batch_size": 3, "seed": 1, **options})


def first(batches, count):
    found = list(islice(batches, count))
    batches.close()
    return found


def same(a, b):
    return all(
        np.array_equal(getattr(a, name), getattr(b, name))
        for name in ("frames", "actions", "last_actions", "time_ids", "in_hand")
    )


def test_batches_depend_on_seed_and_number_alone(collected):
    whole = first(loader(collected.out).batches(), 6)
    later = first(loader(collected.out, num_workers=1).batches(first=4), 2)
    assert all(same(a, b) for a, b in zip(whole[4:], later, strict=True))
    other = first(loader(collected.out, seed=2).batches(), 1)
    assert not same(other[0], whole[0])


def test_ranks_share_what_one_process_reads(collected):
    one = first(loader(collected.out, batch_size=4).batches(), 2)
    ranks = [
        first(loader(collected.out, batch_size=2, rank=r, num_ranks=2).batches(), 2) for r in (0, 1)
    ]
    for step in range(2):
        instructions = [s for rank in ranks for s in rank[step].instructions]
        assert instructions == one[step].instructions


def test_an_epoch_reads_every_episode_and_shuffles_anew(collected):
    work = loader(collected.out)
    assert work.num_samples == sum(h.kept for h in collected.journal.houses.values())
    assert work.epoch_size == len(work.sets) * max(map(len, work.sets))
    orders = []
    for epoch in range(2):
        items = range(epoch * work.epoch_size, (epoch + 1) * work.epoch_size)
        samples, keys = zip(*(work.sample(item) for item in items), strict=True)
        assert set(samples) == {sample for each in work.sets for sample in each}
        assert {key[:2] for key in keys} == {(1, epoch)}
        orders.append(samples)
    assert orders[0] != orders[1]


def test_tasks_by_name_preset_and_weight(collected):
    task = next(p.name for p in sorted(collected.out.iterdir()) if p.is_dir())
    work = loader(collected.out, mixture={task: 2.0})
    assert work.num_samples == sum(map(len, read_map(collected.out / task, "train").values()))
    with pytest.raises(UserError, match="ObjectNavRoom"):
        loader(collected.out, preset="CHORESNAV")
    with pytest.raises(UserError, match="no task's folder"):
        loader(collected.out / task)


@pytest.fixture
def damaged(collected, tmp_path):
    """A copy with three bad episodes: a missing video, half a video, a video of another length."""
    folder = tmp_path / "data"
    shutil.copytree(collected.out, folder)
    navigation = sorted(folder.rglob("raw_navigation_camera__0.mp4"))
    whole = navigation[3].read_bytes()
    navigation[0].unlink()
    navigation[1].write_bytes(navigation[1].read_bytes()[:700])
    other = next(v for v in navigation[4:] if len(v.read_bytes()) != len(whole))
    navigation[2].write_bytes(other.read_bytes())
    return folder


def test_bad_episodes_are_told_once_skipped_and_counted(damaged):
    told = []
    work = loader(damaged, max_bad_share=0.9, tell=told.append)
    batches = first(work.batches(), 2 * work.epoch_size // 3)
    assert work.faults.count == len(told) == 3
    assert sum("raw_navigation_camera__0.mp4" in line for line in told) >= 1
    assert all(line.startswith("skipped ") and " episode 0: " in line for line in told)
    read = sum(len(batch.instructions) for batch in batches if batch is not None)
    assert 0 < read < 3 * len(batches)
    # A window a batch: what cannot be read leaves a hole, and the others keep their numbers.
    alone = loader(damaged, max_bad_share=0.9, tell=lambda line: None, batch_size=1)
    count = alone.epoch_size
    ones = first(alone.batches(), count)
    bad = {str(sample) for sample in alone.faults.samples}
    holes = [batch is None for batch in ones]
    assert holes == [str(alone.sample(item)[0]) in bad for item in range(count)]
    assert 3 <= sum(holes) < count


def test_too_many_bad_episodes_end_the_run(damaged):
    work = loader(damaged, max_bad_share=0.2, tell=lambda line: None)
    allowed = int(0.2 * work.num_samples)
    with pytest.raises(UserError, match=f"{allowed + 1} of {work.num_samples} episodes cannot"):
        first(work.batches(), 3 * work.epoch_size)


def test_a_corrupt_sensor_file_is_a_bad_house(collected, tmp_path):
    folder = tmp_path / "data"
    shutil.copytree(collected.out, folder)
    sensors = sorted(folder.rglob("hdf5_sensors.hdf5"))[0]
    sensors.write_bytes(b"\x89HDF\r\n" + bytes(5000))
    told = []
    work = loader(folder, max_bad_share=1.0, tell=told.append)
    first(work.batches(), work.epoch_size // 3 + 1)
    kept = len([s for each in work.sets for s in each if s.folder == sensors.parent])
    assert work.faults.count == kept == len(told)
