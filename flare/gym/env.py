"""One world as a ``gymnasium.Env``."""

from typing import Any, SupportsFloat

import gymnasium
import numpy as np
from numpy.typing import NDArray

from flare.gym.options import EnvOptions
from flare.gym.pictures import Pictures
from flare.gym.simulation import Simulation
from flare.gym.spaces import Observation, action_space, observation_space, observe, of_one
from flare.tasks.task import Facts


class FlareEnv(gymnasium.Env[Observation, np.int64]):
    """A robot in a house with a task; options are the fields of ``EnvOptions``.

    Episode k after ``reset(seed=s)`` has the key (s, 0, k): the same on every machine thread count.
    ``info`` holds ``facts`` (the simulator's row, a number or array a field), ``success``,
    ``episode_index`` (k) and ``shortest_path`` (m, -1 where the task defines none).
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 6}  # noqa: RUF012

    def __init__(self, *, render_mode: str | None = None, **options: Any) -> None:  # noqa: ANN401
        """Make the world; ``reset`` begins the first episode.

        Raises:
            UserError: an option that is not as it should be; names it and the mend.
        """
        checked = EnvOptions(**options)
        self.render_mode = render_mode
        self._simulation = Simulation(checked, 1)
        self._instruction = checked.instruction
        self._seed = checked.seed
        self._pictures = Pictures(self._simulation) if render_mode else None
        self._is_over = True
        self.action_space = action_space(self._simulation)
        self.observation_space = observation_space(self._simulation, self._instruction)

    @property
    def action_names(self) -> tuple[str, ...]:
        """What an action's id means."""
        return self._simulation.worlds.action_names

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin the first episode of a seed, or without one the next episode."""
        super().reset(seed=seed)
        if seed is not None:
            self._simulation.seed(seed)
        elif self._simulation.episode[0] < 0:
            self._simulation.seed(self.np_random_seed if self._seed is None else self._seed)
        frames, facts = self._arrays()
        self._simulation.begin(np.zeros(1, np.int64), frames, facts)
        self._is_over = False
        return self._observe(frames, facts), self._info(facts, False)

    def step(
        self, action: np.int64 | int
    ) -> tuple[Observation, SupportsFloat, bool, bool, dict[str, Any]]:
        """Execute one action.

        Raises:
            gymnasium.error.ResetNeeded: the episode is over.
        """
        if self._is_over:
            raise gymnasium.error.ResetNeeded("the episode is over, or none has begun: call reset")
        frames, facts = self._arrays()
        judged = self._simulation.step(np.array([action], np.int64), frames, facts)
        terminated, truncated = bool(judged.terminated[0]), bool(judged.truncated[0])
        self._is_over = terminated or truncated
        info = self._info(facts, bool(judged.success[0]))
        return self._observe(frames, facts), float(judged.reward[0]), terminated, truncated, info

    def render(self) -> NDArray[np.uint8] | None:
        """[H, W, 3] uint8: the navigation camera beside the plan; None without a render mode."""
        return None if self._pictures is None else self._pictures.draw(0)

    def close(self) -> None:
        """Free the world."""
        self._simulation.worlds.close()

    def _arrays(self) -> tuple[NDArray[np.uint8], Facts]:
        worlds = self._simulation.worlds
        return np.empty((1, *worlds.camera.frame_shape), np.uint8), np.zeros(1, worlds.facts_dtype)

    def _observe(self, frames: NDArray[np.uint8], facts: Facts) -> Observation:
        if self._pictures is not None:
            self._pictures.observe(facts)
        return of_one(observe(self._simulation, self._instruction, frames, facts), 0)

    def _info(self, facts: Facts, success: bool) -> dict[str, Any]:
        return {
            "facts": {name: facts[name][0] for name in facts.dtype.names or ()},
            "success": success,
            "episode_index": int(self._simulation.episode[0]),
            "shortest_path": float(self._simulation.shortest_paths[0]),
        }
