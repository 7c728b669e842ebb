"""A few generated houses and, once a session, a small collection of trajectories in them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flare.assembly import TaskConfig, WorldConfig, make_sampler, make_worlds
from flare.data.collection import Journal, collect_trajectories
from flare.houses.generator import GeneratorConfig, generate_house
from flare.rollout.player import ExpertActor, play_episodes
from flare.specs import ACTION_NAMES, CameraSpec
from flare.worlds.embedded import load_house

GOALS = ("Bed", "Sofa", "Apple", "Mug")
TASK = TaskConfig(names=("ObjectNav", "PickUp", "RoomNav", "RoomVisit"), max_steps=150)
WORLD = WorldConfig(
    num_envs=4,
    num_threads=1,
    camera=CameraSpec(width=96, height=56, num_cameras=2),
    action_names=ACTION_NAMES,
)
COUNT = 12


@pytest.fixture(scope="session")
def documents():
    config = GeneratorConfig(num_rooms=(2, 2), goal_types=GOALS, num_goal_types=len(GOALS))
    return [generate_house(0, "train", i, config) for i in range(3)]


@pytest.fixture(scope="session")
def houses(documents):
    return [load_house(json.dumps(d), f"house {i}") for i, d in enumerate(documents)]


def drawn(houses):
    sampler = make_sampler(houses, TASK, 5)
    return sampler.mixture, sampler.sample(np.zeros(COUNT, np.int64), np.arange(COUNT))


def collect(houses, out, *, num_envs=4, should_stop=None):
    """Collect the COUNT episodes into a folder; returns its journal."""
    from dataclasses import replace

    mixture, episodes = drawn(houses)
    journal = Journal(out, {"seed": 5})
    collect_trajectories(
        make_worlds(houses, replace(WORLD, num_envs=num_envs)), mixture, episodes, out, journal,
        split="train", num_threads=2, should_stop=should_stop,
    )  # fmt: skip
    return journal


@dataclass(frozen=True)
class Collected:
    """A collection, and what an observer of the same episodes saw."""

    out: Path
    journal: Journal
    episodes: Any
    played: list[Any]
    facts: dict[int, list[Any]]
    frames: dict[int, list[Any]]


@pytest.fixture(scope="session")
def collected(houses, tmp_path_factory):
    out = tmp_path_factory.mktemp("chores") / "data"
    journal = collect(houses, out)
    mixture, episodes = drawn(houses)
    worlds = make_worlds(houses, WORLD)
    facts, frames = {}, {}

    def keep(view, envs):
        for env in envs:
            facts.setdefault(int(view.episode[env]), []).append(view.facts[env].copy())
            frames.setdefault(int(view.episode[env]), []).append(view.frames[env].copy())

    played = play_episodes(
        worlds, mixture, episodes, ExpertActor(worlds), num_actions=20, on_observation=keep
    )
    return Collected(out, journal, episodes, played, facts, frames)
