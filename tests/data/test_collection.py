"""What flare collect writes in the published layout is what was played."""

import json
from collections import defaultdict

import h5py
import numpy as np
import pytest

from flare.data.collection import JOURNAL, Journal
from flare.data.layout import TASK_TYPES, decode_text, read_map
from flare.data.sensors import SENSORS
from flare.data.video import read_frames
from flare.errors import UserError
from flare.specs import ACTION_NAMES
from flare.tasks.registry import TASK_NAMES
from tests.data.conftest import COUNT, collect

WORST_PSNR = 28.0  # dB, of any of these small frames, whose edges suffer from halved colour


def written(collected):
    """(index of a kept episode, its folder, its id), in the order in which ids are given."""
    successes = {record.episode: record.success for record in collected.played}
    ids = defaultdict(int)
    for i, spec in enumerate(collected.episodes.specs):
        task = TASK_NAMES[int(spec["task"])]
        if successes[i]:
            place = collected.out / TASK_TYPES[task] / "train" / f"{int(spec['house']):06d}"
            yield i, place, str(ids[place])
            ids[place] += 1


def test_sensors_are_what_the_worlds_said(collected):
    kept = list(written(collected))
    assert len(kept) >= COUNT // 2
    actions = {record.episode: record.actions for record in collected.played}
    for i, place, episode in kept:
        facts = np.stack(collected.facts[i])
        with h5py.File(place / "hdf5_sensors.hdf5") as file:
            group = file[episode]
            for name, (shape, dtype) in SENSORS.items():
                assert group[name].shape == (len(facts), *shape) and group[name].dtype == dtype
            names = [decode_text(row) for row in group["last_action_str"][()]]
            assert names == ["", *(ACTION_NAMES[a] for a in actions[i])]
            place_rows = group["last_agent_location"][()]
            np.testing.assert_array_equal(place_rows[:, :3], facts["position"].astype(np.float64))
            np.testing.assert_array_equal(place_rows[:, 4], facts["yaw_deg"].astype(np.float64))
            success = group["last_action_success"][:, 0]
            np.testing.assert_array_equal(success[1:], facts["last_action_success"][1:])
            assert success[0] == -1 and group["last_action_is_random"][0, 0] == -1
            held = group["an_object_is_in_hand"][:, 0]
            np.testing.assert_array_equal(held, facts["held_object"] >= 0)
            assert (group["house_index"][()] == collected.episodes.specs["house"][i]).all()
            near = group["minimum_l2_target_distance"][:, 0]
            np.testing.assert_array_equal(near, facts["target_distance_3d"].astype(np.float64))
            assert group["hypothetical_task_success"][-1, 0] in (0, 1)
            spec = json.loads(decode_text(group["templated_task_spec"][0]))
            assert TASK_TYPES[TASK_NAMES[int(facts["task"][0])]] == spec["task_type"]


def test_videos_show_what_the_cameras_saw(collected):
    for i, place, episode in written(collected):
        frames = np.stack(collected.frames[i])
        for camera, name in enumerate(("raw_navigation_camera", "raw_manipulation_camera")):
            path = place / f"{name}__{episode}.mp4"
            video = read_frames([path], range(len(frames)), len(frames))[:, 0]
            error = (video.astype(np.float64) - frames[:, camera]) ** 2
            worst = 10 * np.log10(255**2 / error.mean(axis=(1, 2, 3)).max())
            assert worst >= WORST_PSNR, f"{path.name}: {worst:.1f} dB"


def test_boxes_are_where_the_targets_are(collected):
    """The target that the expert says done to is in a box of the last frame, near the middle."""
    seen = 0
    for i, place, episode in written(collected):
        if TASK_NAMES[int(collected.episodes.specs["task"][i])] != "ObjectNav":
            continue
        with h5py.File(place / "hdf5_sensors.hdf5") as file:
            group = file[episode]["nav_accurate_object_bbox"]
            last = {f: group[f][-1] for f in ("min_rows", "max_rows", "min_cols", "max_cols")}
            ids = json.loads(decode_text(group["oids_as_bytes"][-1]))
            assert len(ids) == int(collected.episodes.specs["num_targets"][i])
            alignment = file[episode]["minimum_visible_target_alignment"][-1, 0]
            count = file[episode]["visible_target_4m_count"][-1, 0]
        shown = last["min_rows"] >= 0
        assert shown.sum() == count >= 1
        assert (last["min_rows"] <= last["max_rows"])[shown].all()
        assert (last["max_cols"] <= 95)[shown].all() and (last["max_rows"] <= 55)[shown].all()
        if alignment >= 0 and alignment < 20:
            middle = (last["min_cols"][shown] + last["max_cols"][shown]) / 2
            assert np.abs(middle - 48).min() < 30
            seen += 1
    assert seen


def test_every_kept_episode_is_listed(collected):
    listed = {
        (task, house, episode)
        for task in TASK_TYPES.values()
        if (collected.out / task).is_dir()
        for house, episodes in read_map(collected.out / task, "train").items()
        for episode in episodes
    }
    folders = {(p.parts[-3], p.name, episode) for _, p, episode in written(collected)}
    assert listed == folders
    assert sum(h.kept for h in collected.journal.houses.values()) == len(listed)
    assert sum(h.failed for h in collected.journal.houses.values()) == COUNT - len(listed)


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != JOURNAL
    }


def test_an_interrupted_collection_goes_on_to_the_same_files(houses, collected, tmp_path):
    """Also with another number of worlds, and with a line of the journal cut by a crash."""
    calls = iter(range(100000))
    collect(houses, tmp_path / "d", num_envs=3, should_stop=lambda: next(calls) > 60)
    done = len(Journal(tmp_path / "d", {"seed": 5}).houses)
    assert 0 < done < len(collected.journal.houses)
    with (tmp_path / "d" / JOURNAL).open("a") as file:
        file.write('{"task": "PickUp", "hou')
    assert len(collect(houses, tmp_path / "d", num_envs=2).houses) == len(collected.journal.houses)
    assert contents(tmp_path / "d") == contents(collected.out)
    before = contents(tmp_path / "d")
    collect(houses, tmp_path / "d")
    assert contents(tmp_path / "d") == before


def test_a_folder_begun_otherwise_is_refused(collected, tmp_path):
    with pytest.raises(UserError, match=r"other settings.*seed"):
        Journal(collected.out, {"seed": 6})
    (tmp_path / "x").write_text("mine")
    with pytest.raises(UserError, match="not empty"):
        Journal(tmp_path, {"seed": 5})
