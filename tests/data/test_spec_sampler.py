"""Episodes from files: the real agent's starts, our own trajectories, and what does not fit."""

import gzip
import json

import numpy as np
import pytest

from flare.assembly import TaskConfig, load_house_file, make_sampler
from flare.data.layout import TASK_TYPES
from flare.errors import UserError
from flare.evaluation.evaluate import freeze_episodes
from flare.specs import ACTION_NAMES
from flare.tasks.registry import TASK_NAMES
from flare.tasks.sampler import SamplerConfig
from flare.worlds.embedded import EmbeddedWorlds
from tests.data.conftest import COUNT, GOALS


@pytest.fixture(scope="module")
def real_houses(shared_dir):
    return load_house_file(shared_dir / "houses" / "thor_tiny_val.jsonl.gz")


def sampler_of(houses, *paths, names=("ObjectNav", "RoomVisit"), seed=0, **options):
    task = TaskConfig(names=names, sampler=SamplerConfig(specs=paths, **options))
    return make_sampler(houses, task, seed)


def one_pass(sampler, env=0):
    count = sampler.count_distinct()
    return sampler.sample(np.full(count, env), np.arange(count))


def test_the_real_agents_specs_play_where_they_began(real_houses, shared_dir):
    path = shared_dir / "houses" / "unity_task_specs.jsonl.gz"
    with gzip.open(path, "rt") as file:
        documents = [json.loads(line) for line in file]
    known = [d for d in documents if d["task_type"] in ("ObjectNavType", "ExploreHouse")]
    sampler = sampler_of(real_houses, path)
    episodes = one_pass(sampler)
    # A few starts are blocked by proxies.
    assert len(known) - 5 <= len(episodes.specs) <= len(known)
    wanted = {}
    for d in known:
        x, _, z = d["agent_starting_position"]
        key = (d["house_line"], round(x, 3), round(z, 3), d["natural_language_spec"])
        wanted[key] = d
    for i, spec in enumerate(episodes.specs):
        x, z = (round(float(spec[axis]), 3) for axis in ("x", "z"))
        d = wanted[int(spec["house"]), x, z, episodes.instructions[i]]
        assert float(spec["yaw_deg"]) == pytest.approx(d["agent_y_rotation"] % 360.0, abs=1e-3)
        objects = real_houses[int(spec["house"])].objects()
        targets = {objects[t]["id"] for t in spec["targets"][: spec["num_targets"]]}
        named = set(d.get("target_object_ids", ())) & {o["id"] for o in objects}
        assert targets == named if len(named) <= 16 else targets < named and len(targets) == 16
        if d["task_type"] == "ObjectNavType":
            assert episodes.target_types[i] == d["target_object_type"]
            assert episodes.shortest_paths[i] >= 0
    starts = {tuple(spec[["house", "x", "z", "yaw_deg"]].item()) for spec in episodes.specs}
    assert len(starts) > 0.9 * len(episodes.specs)
    worlds = EmbeddedWorlds(real_houses, num_envs=len(episodes.specs))
    frames = np.zeros((worlds.num_envs, *worlds.camera.frame_shape), np.uint8)
    facts = np.zeros(worlds.num_envs, worlds.facts_dtype)
    worlds.reset(np.arange(worlds.num_envs, dtype=np.int32), episodes.specs, frames, facts)


def test_passes_are_shuffled_and_whole(real_houses, shared_dir):
    path = shared_dir / "houses" / "unity_task_specs.jsonl.gz"
    sampler = sampler_of(real_houses, path)
    count = sampler.count_distinct()
    orders = [
        sampler.sample(np.full(count, env), np.arange(first, first + count))
        for env, first in ((0, 0), (0, count), (1, 0))
    ]
    keys = [
        [tuple(s[["house", "x", "z", "yaw_deg", "task"]].item()) for s in episodes.specs]
        for episodes in orders
    ]
    assert sorted(keys[0]) == sorted(keys[1]) == sorted(keys[2])
    assert keys[0] != keys[1] and keys[0] != keys[2]
    again = sampler_of(real_houses, path)
    again.count_distinct()
    same = again.sample(np.zeros(count, np.int64), np.arange(count))
    np.testing.assert_array_equal(same.specs, orders[0].specs)


def test_our_own_trajectories_give_their_starts_back(houses, collected):
    """Every spec field that decides an episode, and through the expert its very length."""
    success = {record.episode: record for record in collected.played if record.success}
    checked = 0
    for name in ("ObjectNav", "PickUp", "RoomNav", "RoomVisit"):
        folder = collected.out / TASK_TYPES[name] / "train"
        if not folder.is_dir():
            continue
        episodes = one_pass(sampler_of(houses, folder, names=(name,), camera_noise=False))
        originals = {}
        for i in success:
            spec = collected.episodes.specs[i]
            if TASK_NAMES[int(spec["task"])] == name:
                originals[tuple(spec[["house", "x", "z", "yaw_deg"]].item())] = i
        assert len(episodes.specs) == len(originals)
        for row, spec in enumerate(episodes.specs):
            i = originals[tuple(spec[["house", "x", "z", "yaw_deg"]].item())]
            original = collected.episodes.specs[i]
            for field in ("task", "goal", "num_targets", "target_rooms"):
                assert spec[field] == original[field], field
            assert set(spec["targets"].tolist()) == set(original["targets"].tolist())
            words = collected.episodes.instructions[i].split()
            assert episodes.instructions[row].split()[-1] == words[-1]
            checked += 1
    assert checked == len(success) >= COUNT // 2


def test_freezing_plays_them(houses, collected):
    folder = collected.out / TASK_TYPES["PickUp"] / "train"
    sampler = sampler_of(houses, folder, names=("PickUp",), camera_noise=False)
    count = sampler.count_distinct()
    worlds = EmbeddedWorlds(houses, num_envs=2, action_names=ACTION_NAMES)
    frozen = freeze_episodes(worlds, sampler, count)
    lengths = sorted(r.length for r in collected.played if r.success and r.task == "PickUp")
    assert sorted(frozen.expert_lengths) == lengths


BASE = {
    "task_type": "ObjectNavType", "house_index": 0, "agent_starting_position": [0.0, 0.9, 0.0],
    "agent_y_rotation": 0.0, "natural_language_spec": "find a bed",
    "target_object_ids": ["nothing|here"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("lines", "named"),
    [
        (["{"], "line 1"),
        (["[]"], "line 1"),
        ([""], "holds no task spec"),
        ([json.dumps(BASE | {"task_type": "FetchType"})], "no episode of ObjectNav"),
        ([json.dumps(BASE | {"house_index": 99})], "no episode of ObjectNav"),
        ([json.dumps(BASE)], "names nothing of its house"),
        ([json.dumps({k: v for k, v in BASE.items() if k != "agent_y_rotation"})],
         "lacks 'agent_y_rotation'"),
        ([json.dumps(BASE | {"target_object_ids": []})], "names no target"),
        ([json.dumps(BASE | {"agent_starting_position": [0.0]})], "unpack"),
    ],
)  # fmt: skip
def test_specs_that_cannot_be_played_are_named(houses, tmp_path, lines, named):
    path = tmp_path / "specs.jsonl"
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(UserError) as caught:
        one_pass(sampler_of(houses, path, names=("ObjectNav",)))
    assert named in str(caught.value)


def test_a_start_in_a_wall_is_passed_over(houses, tmp_path):
    house = houses[0]
    bed = next(item for item in house.objects() if item["type"] == GOALS[0])
    x, z = (float(v) for v in house.reachable()[40])
    good = BASE | {"target_object_ids": [bed["id"]], "agent_starting_position": [x, 0.9, z]}
    bad = good | {"agent_starting_position": [-50.0, 0.9, -50.0]}
    path = tmp_path / "specs.jsonl.gz"
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, [bad, good, bad])).encode()))
    sampler = sampler_of(houses, path, names=("ObjectNav",))
    episodes = sampler.sample(np.zeros(6, np.int64), np.arange(6))
    np.testing.assert_allclose(episodes.specs["x"], np.float32(x))
    assert sampler.count_distinct() == 1


def test_other_paths_are_refused(houses, tmp_path):
    (tmp_path / "x.json").write_text("{}")
    for path in (tmp_path / "x.json", tmp_path, tmp_path / "none.jsonl"):
        with pytest.raises(UserError) as caught:
            sampler_of(houses, path)
        assert path.name in str(caught.value)
