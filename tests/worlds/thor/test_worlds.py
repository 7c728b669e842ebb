"""THOR worlds through the real client: the contract of Worlds, and parity with the embedded one."""

import itertools
import os
from dataclasses import replace

import numpy as np
import pytest

from flare.rollout.buffers import ArraySpec, RolloutBuffer
from flare.specs import ACTION_NAMES, CameraSpec
from flare.testing.conformance import CHECKS, Subject
from flare.testing.random_play import random_actions
from flare.worlds.embedded import REPORT_DTYPE, EmbeddedWorlds, FlareError
from flare.worlds.thor.config import ThorConfig, crop_of
from flare.worlds.thor.worlds import ThorWorlds
from flare.worlds.thor_worker import channel
from flare.worlds.world import all_env_ids
from tests.worlds.thor.made_worlds import CAMERA, HOUSES, ITEMS, QUICK, Seat, specs_of, thor_worlds

pytest.importorskip("ai2thor")


def test_workers_and_core_agree_on_reports():
    assert channel.REPORT_DTYPE == REPORT_DTYPE


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_contract_of_worlds(check, tmp_path):
    made = []

    def make(threads: int) -> ThorWorlds:
        worlds = ThorWorlds(
            ITEMS, num_envs=2, camera=CAMERA, action_names=ACTION_NAMES, houses=HOUSES,
            config=replace(QUICK, base_dir=str(tmp_path)),
        )  # fmt: skip
        made.append(worlds)
        return worlds

    try:
        check(Subject(make=make, specs=specs_of(2, houses=(0, 1)), num_steps=12))
    finally:
        for worlds in made:
            worlds.close()


def test_the_same_actions_give_the_same_bytes_as_the_embedded_world(tmp_path):
    """Facts and frames of random episodes, ended and begun again in turn."""
    embedded = EmbeddedWorlds(HOUSES, num_envs=2, camera=CAMERA, action_names=ACTION_NAMES)
    frames = np.zeros((2, *CAMERA.frame_shape), np.uint8)
    facts = np.zeros(2, embedded.facts_dtype)
    with thor_worlds(tmp_path) as worlds:
        for episode in range(4):
            specs = specs_of(2, key=episode, houses=(0, 1))
            seat = Seat(worlds, specs)
            embedded.reset(all_env_ids(2), specs, frames, facts)
            for actions in random_actions(ACTION_NAMES, 60, 2, (episode,)):
                worlds.step(actions, seat.frames, seat.facts)
                embedded.step(actions, frames, facts)
                assert facts.tobytes() == seat.facts.tobytes()
                assert np.array_equal(frames, seat.frames)
                assert np.array_equal(worlds.expert_actions(), embedded.expert_actions())
        assert worlds.failures == []


def test_a_hand_at_a_target_too_heavy_for_it_is_told_alike(tmp_path):
    """AI2-THOR lists what can be taken only; the hand meets a sofa all the same."""
    sofa = next(i for i, item in enumerate(HOUSES[0].objects()) if item["type"] == "Sofa")
    embedded = EmbeddedWorlds(HOUSES, num_envs=1, camera=CAMERA, action_names=ACTION_NAMES)
    frames = np.zeros((1, *CAMERA.frame_shape), np.uint8)
    facts = np.zeros(1, embedded.facts_dtype)
    spec = specs_of(1)
    spec["goal"], spec["num_targets"], spec["targets"][:, 0] = 0, 1, sofa
    for (x, z), yaw in itertools.product(HOUSES[0].reachable(), range(0, 360, 30)):
        if HOUSES[0].blocked(float(x), float(z), yaw):
            continue
        spec["x"], spec["z"], spec["yaw_deg"] = x, z, yaw
        embedded.reset(all_env_ids(1), spec, frames, facts)
        if facts["target_in_reach"][0]:
            break
    assert facts["target_in_reach"][0]
    with thor_worlds(tmp_path, 1) as worlds:
        assert Seat(worlds, spec).facts.tobytes() == facts.tobytes()


def test_frames_go_straight_into_a_rollout_buffer(tmp_path):
    shape = (3, 2, *CAMERA.frame_shape)
    buffer = RolloutBuffer.create([ArraySpec("frames", np.uint8, shape)], num_envs=2)
    frames = buffer.array("frames")
    with thor_worlds(tmp_path) as worlds:
        seat = Seat(worlds)
        worlds.reset(all_env_ids(2), seat.specs, frames[1], seat.facts)
        assert np.array_equal(frames[1], seat.frames)
        actions = np.zeros(2, np.int64)
        worlds.step(actions, frames[2], seat.facts)
        assert frames[2].any() and not frames[0].any()
        other = RolloutBuffer.create([ArraySpec("frames", np.uint8, shape)], num_envs=2)
        worlds.reset(all_env_ids(2), seat.specs, other.array("frames")[0], seat.facts)
        assert np.array_equal(other.array("frames")[0], frames[1])


def test_an_episode_of_a_loaded_house_starts_without_loading_it(tmp_path):
    with thor_worlds(tmp_path, 1, arguments="--create-house-delay 0.4") as worlds:
        seat = Seat(worlds)
        begin = os.times().elapsed
        for _ in range(3):
            seat.step("move_ahead")
            seat.reset(all_env_ids(1))
        assert os.times().elapsed - begin < 0.4


def test_what_is_wrong_is_refused(tmp_path):
    with thor_worlds(tmp_path) as worlds:
        arrays = (np.zeros((2, *CAMERA.frame_shape), np.uint8), np.zeros(2, worlds.facts_dtype))
        with pytest.raises(FlareError, match="reset it first"):
            worlds.step(np.zeros(2, np.int64), *arrays)
        with pytest.raises(FlareError, match="listed twice"):
            worlds.reset(np.zeros(2, np.int32), specs_of(2), *arrays)
        seat = Seat(worlds)
        with pytest.raises(IndexError, match="negative"):
            worlds.step(np.full(2, -1), *arrays)
        with pytest.raises(FlareError, match="states are"):
            worlds.restore(all_env_ids(2), np.zeros((2, 5), np.uint8), seat.frames, seat.facts)


def test_the_crop_is_the_originals():
    assert crop_of(384) == 6
    assert ThorConfig().controller_arguments(CameraSpec())["width"] == 396
    assert crop_of(84) == 1


def test_a_commits_build_is_started_from_its_release_folder(tmp_path):
    """flare-thor in the place of a downloaded build; nothing is asked of the network."""
    from flare.worlds.thor.release import install_release

    folder = install_release(QUICK.find_executable()[0], "0" * 40, "Embedded", tmp_path)
    assert folder.name == f"thor-Embedded-{'0' * 40}"
    with thor_worlds(tmp_path, 1, executable="", commit_id="0" * 40, platform="Embedded") as worlds:
        assert worlds.config.executable == ""
        assert Seat(worlds).frames.any()
