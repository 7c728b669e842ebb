"""Several tasks in one collector, one player, one evaluation file."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from flare.assembly import TaskConfig, WorldConfig, make_sampler, make_worlds
from flare.errors import UserError
from flare.evaluation.evaluate import evaluate_policy, freeze_episodes
from flare.evaluation.records import load_frozen, save_frozen
from flare.evaluation.summary import summarise
from flare.houses.files import write_houses
from flare.houses.generator import GeneratorConfig, generate_house
from flare.recipes.pretrain import make_agent
from flare.rollout.collector import Collector, CollectorConfig
from flare.rollout.player import ExpertActor, play_episodes
from flare.specs import CameraSpec
from flare.tasks.registry import TAGS
from flare.tasks.rewards import RewardConfig
from flare.timing import Timer
from flare.worlds.embedded import load_house

NAMES = ("ObjectNav", "RoomVisit", "RoomNav", "PickUp", "Fetch")
TYPES = ("Bed", "Sofa")  # that the policy has words for
GOALS = (*TYPES, "Apple", "Mug")  # that every house has
TASK = TaskConfig(names=NAMES, max_steps=6, reward=RewardConfig(shaping_weight=1.0))
WORLD = WorldConfig(num_envs=12, num_threads=1, camera=CameraSpec(width=42, height=24)).for_tasks(
    TASK.build()
)


@pytest.fixture(scope="module")
def documents():
    config = GeneratorConfig(num_rooms=(2, 2), goal_types=GOALS, num_goal_types=len(GOALS))
    return [generate_house(0, "train", i, config) for i in range(3)]


@pytest.fixture(scope="module")
def houses(documents):
    return [load_house(json.dumps(d), f"house {i}") for i, d in enumerate(documents)]


def make_collector(houses, **options):
    torch.manual_seed(0)
    agent = make_agent(WORLD, TASK, TYPES)
    ended = []
    collector = Collector(
        worlds=make_worlds(houses, WORLD), sampler=make_sampler(houses, TASK, 1),
        policy=agent.build().eval(), vocabulary=agent.vocabulary(), on_episode=ended.append,
        config=CollectorConfig(num_steps=20, **options),
    )  # fmt: skip
    return collector, ended


def test_a_rollout_holds_every_task_and_pays_shaping(houses):
    collector, ended = make_collector(houses)
    collector.start()
    collector.collect(Timer())
    arrays = collector._arrays
    assert {episode.task for episode in ended} == set(NAMES)
    assert set(np.unique(arrays["facts"]["task"])) == {TAGS[name] for name in NAMES}
    # RoomVisit pays 2 for the start's room and 0.005 for its place, in the first step.
    first = (arrays["facts"]["task"][1] == TAGS["RoomVisit"]) & (arrays["facts"]["step"][1] == 1)
    no_report = arrays["facts"]["last_action"][1] != 5
    assert (first & no_report).any()
    np.testing.assert_allclose(arrays["reward"][0][first & no_report], 2.005, rtol=1e-6)


def test_shaping_goes_on_where_it_was_saved(houses):
    first, _ = make_collector(houses)
    first.start()
    first.collect(Timer())
    first.rewind()
    second, _ = make_collector(houses)
    second.load_state_dict(first.state_dict())
    for collector in (first, second):
        collector.collect(Timer())
    for name in ("reward", "time_step", "traj_index", "facts"):
        np.testing.assert_array_equal(first._arrays[name], second._arrays[name], name)
    assert first._arrays["reward"].any()


def test_the_originals_sensors_join_an_episode_to_the_one_that_the_limit_cut(houses):
    clean, _ = make_collector(houses)
    compat, _ = make_collector(houses, compat_sensors=True)
    starts = []
    for collector in (clean, compat):
        never = collector.policy.actor_head.bias.data
        never[collector.worlds.action_names.index("done")] = -1e9
        collector.start()
        starts.append(collector.collect(Timer()).episode_start.numpy())
    assert starts[0][::6].all() and starts[0].sum() == 4 * WORLD.num_envs
    assert starts[1][0].all() and starts[1].sum() == WORLD.num_envs
    assert compat._arrays["time_step"][:, 0].tolist()[5:9] == [5, 1, 1, 2]


def test_an_evaluation_of_several_tasks_has_a_table_of_each(houses, documents, tmp_path):
    agent = make_agent(WORLD, TASK, TYPES)
    worlds, mixture = make_worlds(houses, WORLD), TASK.build()
    file = tmp_path / "houses.jsonl.gz"
    write_houses(file, documents)
    frozen = freeze_episodes(worlds, make_sampler(houses, TASK, 3), 40)
    save_frozen(tmp_path / "episodes.jsonl", frozen, file, houses, mixture)
    loaded = load_frozen(tmp_path / "episodes.jsonl", file, mixture)
    for name in ("task", "goal", "target_rooms", "targets", "num_targets", "max_steps", "x"):
        np.testing.assert_array_equal(loaded.episodes.specs[name], frozen.episodes.specs[name])
    result = evaluate_policy(
        agent.build(), worlds, mixture, loaded, agent.vocabulary(), stage="after", split="val",
        houses=houses, seed=0,
    )  # fmt: skip
    groups = {group["key"]: group for group in summarise(result.records)["by_task"]}
    assert set(groups) == set(NAMES)
    assert sum(group["episodes"] for group in groups.values()) == 40
    assert "rooms_reported" in groups["RoomVisit"]["metrics"]
    assert 0.0 < groups["RoomVisit"]["metrics"]["coverage"]["estimate"] <= 1.0
    assert "coverage" not in groups["Fetch"]["metrics"]
    with pytest.raises(UserError, match=r"task\.names"):
        load_frozen(tmp_path / "episodes.jsonl", file, TaskConfig(names=("RoomNav",)).build())


def test_what_happened_to_the_targets_and_when(houses):
    """The expert's targets are seen before they are near, and in the hand once pickup was tried."""
    task = replace(TASK, max_steps=300)
    worlds, mixture = make_worlds(houses, WORLD), task.build()
    episodes = make_sampler(houses, task, 5).sample(np.zeros(40, np.int64), np.arange(40))
    played = play_episodes(worlds, mixture, episodes, ExpertActor(worlds),
                           num_actions=len(WORLD.action_names))  # fmt: skip
    pickup = WORLD.action_names.index("pickup")
    kinds = set()
    for episode in (e for e in played if e.success):
        kinds.add(episode.task)
        if episode.task in ("PickUp", "Fetch"):
            assert episode.actions[episode.first_held - 1] == pickup
        else:
            assert episode.first_held is None
        if episode.task == "ObjectNav":
            assert episode.first_seen <= episode.first_visible <= episode.length
        if episode.task in ("RoomNav", "RoomVisit"):
            assert episode.first_seen is None and episode.first_visible is None
    assert kinds == set(NAMES)
