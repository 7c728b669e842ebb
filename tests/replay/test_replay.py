"""Logs of every command that writes them, played again: same bits, and each change found."""

import json

import av
import numpy as np
import pytest

from flare.assembly import TaskConfig, WorldConfig, make_sampler, make_worlds
from flare.cli import main
from flare.houses.files import write_houses
from flare.houses.generator import GeneratorConfig, generate_house
from flare.replay.log import EpisodeLog, HouseSource, LogHeader, LogRecorder
from flare.replay.verify import find_houses, play_again
from flare.rollout.player import play_episodes
from flare.specs import CameraSpec
from flare.worlds.embedded import load_house

NAMES = ("ObjectNav", "PickUp", "RoomVisit")


class RandomActor:
    """Any actions, by world and step; done among them ends episodes early."""

    def __init__(self, num_actions):
        self._rng, self._num_actions = np.random.default_rng(3), num_actions

    def begin(self, worlds, episodes):
        pass

    def act(self, view):
        return self._rng.integers(0, self._num_actions, len(view.episode))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Nine episodes of three tasks, recorded with one thread and three worlds; file and houses."""
    folder = tmp_path_factory.mktemp("log")
    documents = [generate_house(0, "train", i, GeneratorConfig()) for i in range(3)]
    write_houses(folder / "houses.jsonl.gz", documents)
    houses = [load_house(json.dumps(d), f"house {i}") for i, d in enumerate(documents)]
    task = TaskConfig(names=NAMES, max_steps=25)
    mixture = task.build()
    world = WorldConfig(num_envs=3, num_threads=1, camera=CameraSpec(width=32, height=24))
    world = world.for_tasks(mixture)
    worlds, sampler = make_worlds(houses, world), make_sampler(houses, task, 0)
    episodes = sampler.sample(np.zeros(9, np.int64), np.arange(9))
    recorder = LogRecorder()
    num_actions = len(world.action_names)
    played = play_episodes(
        worlds, mixture, episodes, RandomActor(num_actions), num_actions=num_actions,
        on_observation=recorder.on_observation,
    )  # fmt: skip
    header = LogHeader.of(
        HouseSource(file=str(folder / "houses.jsonl.gz")),
        worlds.robots[0],
        world.camera,
        world.action_names,
    )
    successes = {record.episode: record.success for record in played}
    log = recorder.log(header, episodes, houses, successes)
    assert [len(e.actions) for e in log.episodes] == [record.length for record in played]
    assert [list(e.actions) for e in log.episodes] == [r.actions.tolist() for r in played]
    log.write(folder / "log.jsonl")
    return folder / "log.jsonl", documents


def edited(log_file, tmp_path, line, change):
    """A copy of the log with one line's object changed."""
    lines = log_file.read_text().splitlines()
    content = json.loads(lines[line])
    change(content)
    lines[line] = json.dumps(content)
    path = tmp_path / "edited.jsonl"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("envs", [2, 9])
def test_any_threads_and_worlds_give_the_same_bits(recorded, threads, envs):
    log = EpisodeLog.read(recorded[0])
    assert len({digest for e in log.episodes for digest in e.frames}) > 20
    assert play_again(log, find_houses(log, None), num_envs=envs, num_threads=threads) == []


def test_the_command_says_what_it_found(recorded, capsys):
    assert main(["replay", str(recorded[0]), "--num-threads", "2", "--check"]) == 0
    assert "9 of 9 episodes are the same to the bit" in capsys.readouterr().out


@pytest.mark.parametrize("step", [0, 3])
def test_a_changed_action_is_found_where_it_was_taken(recorded, tmp_path, step, capsys):
    log = EpisodeLog.read(recorded[0])
    number = next(i for i, e in enumerate(log.episodes) if len(e.actions) > step)

    def change(episode):
        episode["actions"][step] = (episode["actions"][step] + 1) % 7

    path = edited(recorded[0], tmp_path, number + 1, change)
    assert main(["replay", str(path)]) == 1
    out = capsys.readouterr().out
    assert f"episode {number}: the facts differ after action {step + 1}\n" in out
    assert "8 of 9 episodes" in out
    assert main(["replay", str(path), "--no-check"]) == 0


def test_a_changed_start_and_a_changed_frame_are_found(recorded, tmp_path, capsys):
    def turn(episode):
        episode["start"][2] = (episode["start"][2] + 30) % 360

    def repaint(episode):
        episode["frames"][1] = "00000000"

    assert main(["replay", str(edited(recorded[0], tmp_path, 2, turn))]) == 1
    assert "episode 1: the facts differ at the start" in capsys.readouterr().out
    assert main(["replay", str(edited(recorded[0], tmp_path, 3, repaint))]) == 1
    assert "episode 2: the frames differ after action 1" in capsys.readouterr().out


def test_a_changed_house_is_refused(recorded, tmp_path, capsys):
    log_file, documents = recorded
    changed = json.loads(json.dumps(documents))
    for document in changed:
        document["objects"][0]["position"]["x"] += 0.01
    write_houses(tmp_path / "other.jsonl.gz", changed)
    assert main(["replay", str(log_file), "--houses", str(tmp_path / "other.jsonl.gz")]) == 2
    error = capsys.readouterr().err
    assert "other.jsonl.gz line" in error and "its content has changed" in error
    assert error.count("\n") == 1
    write_houses(tmp_path / "few.jsonl.gz", documents[:1])
    assert main(["replay", str(log_file), "--houses", str(tmp_path / "few.jsonl.gz")]) == 2
    assert "holds 1 houses" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "change", "message"),
    [
        (0, lambda h: h.update(format="x"), "not an episode log"),
        (0, lambda h: h.update(version=7), "version: is 7"),
        (0, lambda h: h["robot"]["body"].update(radius=0.3), "robot: is not the robot that played"),
        (0, lambda h: h.update(colour=1), "colour: unknown field"),
        (1, lambda e: e["facts"].pop(), "line 2: "),
        (1, lambda e: e["actions"].__setitem__(0, 77), "line 2: an action has no name"),
        (1, lambda e: e["spec"].pop("seed"), "missing or unknown: seed"),
        (1, lambda e: e["spec"].update(seed=-1), "line 2"),
    ],
)
def test_a_damaged_log_is_one_clear_error(recorded, tmp_path, capsys, line, change, message):
    path = edited(recorded[0], tmp_path, line, change)
    assert main(["replay", str(path)]) == 2
    error = capsys.readouterr().err
    assert message in error and str(path) in error
    assert error.count("\n") == 1


def test_a_video_of_one_episode(recorded, tmp_path, capsys):
    video = tmp_path / "episode.mp4"
    assert main(["replay", str(recorded[0]), "--episode", "1", "--video", str(video)]) == 0
    length = len(EpisodeLog.read(recorded[0]).episodes[1].actions)
    with av.open(str(video)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(frames) == length + 1 + 8  # the last picture stays
    assert np.ptp(frames[0]) > 100
    assert main(["replay", str(recorded[0]), "--video", str(tmp_path / "episode.gif")]) == 2
    assert "end it in .mp4 or .webm" in capsys.readouterr().err
    assert main(["replay", str(recorded[0]), "--episode", "9"]) == 2


def test_collect_writes_a_log_that_replays(recorded, tmp_path, capsys):
    houses = recorded[0].parent / "houses.jsonl.gz"
    flags = ["--num-episodes", "3", "--world.num-envs", "2", "--log", str(tmp_path / "log.jsonl")]
    out = str(tmp_path / "demos.h5")
    assert main(["collect", "--houses", str(houses), "--out", out, *flags]) == 0
    assert main(["replay", str(tmp_path / "log.jsonl"), "--num-envs", "3"]) == 0
    assert "3 of 3 episodes are the same to the bit" in capsys.readouterr().out
