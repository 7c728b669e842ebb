"""What ``render()`` shows: the navigation camera beside the plan with the path so far."""

import numpy as np
from numpy.typing import NDArray

from flare.gym.simulation import Simulation
from flare.houses.live_plan import LivePlan
from flare.tasks.task import Facts
from flare.video.scene import scene_picture

_HEIGHT = 360  # px of a picture


class Pictures:
    """Keeps the paths of N worlds and draws them on demand."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._envs = np.arange(simulation.worlds.num_envs)
        shape = (simulation.mixture.max_steps + 1, len(self._envs), 2)
        self._paths = np.zeros(shape, np.float32)  # x, z, m
        self._facts: Facts | None = None
        self._plans: dict[int, tuple[tuple[int, int], LivePlan]] = {}  # env to key and plan

    def observe(self, facts: Facts) -> None:
        """Remember where the robots are, [N]."""
        # A world that waits for its reset may step on beyond the limit.
        step = np.minimum(facts["step"], len(self._paths) - 1)
        self._paths[step, self._envs] = facts["position"][:, [0, 2]]
        self._facts = facts

    def draw(self, env: int) -> NDArray[np.uint8]:
        """[H, W, 3] uint8 of one world.

        Raises:
            RuntimeError: before the first reset.
        """
        if self._facts is None:
            raise RuntimeError("nothing to render before the first reset()")
        camera = self._simulation.worlds.camera
        width = round(_HEIGHT * camera.width / camera.height)
        ids = np.array([env], np.int32)
        rgb = self._simulation.worlds.render(ids, width=width, height=_HEIGHT)[0]
        fact = self._facts[env]
        path = self._paths[: int(fact["step"]) + 1, env]
        plan = self._plan(env, int(fact["house"])).draw(path, float(fact["yaw_deg"]))
        return scene_picture([rgb[0], plan])

    def _plan(self, env: int, house: int) -> LivePlan:
        key = (house, int(self._simulation.episode[env]))
        if self._plans.get(env, (None,))[0] != key:
            document = self._simulation.items[house][1]
            targets = self._simulation.target_ids(env, house)
            self._plans[env] = (key, LivePlan(document, _HEIGHT, targets=targets))
        return self._plans[env][1]
