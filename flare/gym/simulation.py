"""N embedded worlds and the episodes they play, keyed (seed, env, episode)."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flare.assembly import make_sampler
from flare.gym.options import EnvOptions
from flare.houses.sources import house_items
from flare.tasks.mixture import Shaping
from flare.tasks.task import Facts, Judgement
from flare.worlds.embedded import EmbeddedWorlds, load_houses

_SEED_MASK = (1 << 64) - 1


class Simulation:
    """What the single and the vector environment share.

    Frames and facts are the caller's arrays, written in place: [N, C, H, W, 3] uint8 and [N] of
    ``worlds.facts_dtype``.
    """

    def __init__(self, options: EnvOptions, num_envs: int) -> None:
        """Read or make the houses and build N worlds without episodes.

        Raises:
            UserError: an option that is not as it should be; names it and the mend.
        """
        task, robot = options.task_config(), options.robot_spec()
        self.mixture = task.build()
        world = options.world_config(num_envs).for_tasks(self.mixture)
        self.items = house_items(options.houses, count=options.num_houses, seed=options.seed or 0)
        houses = load_houses(self.items, world.threads, robot, assets=options.assets)
        self.worlds = EmbeddedWorlds(
            houses,
            num_envs=num_envs,
            robots=(robot,),
            num_threads=world.threads,
            camera=world.camera,
            action_names=world.action_names,
        )
        self.sampler = make_sampler(houses, task, options.seed or 0, mixture=self.mixture)
        self.vocabulary = self.mixture.vocabulary(options.sampler.target_types)
        self.episode = np.full(num_envs, -1, np.int64)  # the one that runs; -1: none yet
        self.last_action = np.zeros(num_envs, np.int64)
        self.instructions = [""] * num_envs
        self.tokens = np.zeros((num_envs, self.vocabulary.max_words), np.int64)
        self.shortest_paths = np.zeros(num_envs, np.float32)  # m
        self.targets: list[NDArray[np.int32]] = [np.empty(0, np.int32)] * num_envs
        self._shaping = Shaping(self.mixture, num_envs)

    @property
    def num_actions(self) -> int:
        """A; as a last action this id means that there is none yet."""
        return len(self.worlds.action_names)

    def seed(self, seed: int) -> None:
        """Let the next episode of every world be the first of this seed."""
        self.sampler.seed = seed & _SEED_MASK
        self.episode[:] = -1

    def begin(self, envs: NDArray[np.int64], frames: NDArray[np.uint8], facts: Facts) -> None:
        """Start the next episode in each of these worlds [n]; only their rows are written."""
        self.episode[envs] += 1
        episodes = self.sampler.sample(envs, self.episode[envs])
        self.worlds.reset(envs.astype(np.int32), episodes.specs, frames, facts)
        self._shaping.begin(envs, facts)
        self.last_action[envs] = self.num_actions
        self.tokens[envs] = self.vocabulary.encode(episodes.instructions)
        self.shortest_paths[envs] = episodes.shortest_paths
        for env, sentence, spec in zip(envs, episodes.instructions, episodes.specs, strict=True):
            self.instructions[env] = sentence
            self.targets[env] = spec["targets"][: spec["num_targets"]].copy()

    def step(
        self,
        actions: NDArray[np.int64],
        frames: NDArray[np.uint8],
        facts: Facts,
        draw: NDArray[np.bool_] | None = None,
    ) -> Judgement:
        """Execute one action a world, [N] ids; what it meant, shaping included."""
        self.worlds.step(actions, frames, facts, draw)
        self.last_action[:] = actions
        judged = self.mixture.judge(facts)
        return replace(judged, reward=judged.reward + self._shaping.reward(facts))

    def target_ids(self, env: int, house: int) -> list[str]:
        """Ids of the objects that the running episode of one world asks for."""
        objects: list[Any] = list(self.worlds.houses[house].objects())
        return [str(objects[target]["id"]) for target in self.targets[env]]
