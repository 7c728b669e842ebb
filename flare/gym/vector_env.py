"""N worlds as one native ``gymnasium.vector.VectorEnv``: a step is one call of the simulator."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from flare.gym.options import EnvOptions
from flare.gym.pictures import Pictures
from flare.gym.simulation import Simulation
from flare.gym.spaces import Observation, action_space, observation_space, observe, of_one
from flare.tasks.task import Facts

Info = dict[str, Any]
StepResult = tuple[
    Observation, NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], Info
]  # fmt: skip


class FlareVectorEnv(VectorEnv[Observation, NDArray[np.int64], NDArray[Any]]):
    """Robots in N worlds of one process; options are the fields of ``EnvOptions``.

    Episode k of env i after ``reset(seed=s)`` has the key (s, i, k), whenever it begins. ``info``
    holds ``facts`` (an array [N, ...] a field of the simulator's rows), ``success``,
    ``episode_index`` (k) and ``shortest_path`` (m), each with its mask, as Gymnasium has it.
    """

    def __init__(
        self,
        num_envs: int = 1,
        *,
        render_mode: str | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        copy: bool = True,
        **options: Any,  # noqa: ANN401
    ) -> None:
        """Make N worlds; ``reset`` begins their first episodes.

        Args:
            num_envs: N.
            render_mode: "rgb_array" or None.
            autoreset_mode: when ended episodes are followed by the next; any of Gymnasium's modes.
            copy: True: every call draws into new arrays, which stay the caller's. False: the frames
                of the last call are written over by the next, which saves their allocation.
            options: of EnvOptions.

        Raises:
            UserError: an option that is not as it should be; names it and the mend.
        """
        checked = EnvOptions(**options)
        self.num_envs, self.render_mode, self._copy = num_envs, render_mode, copy
        self._mode = AutoresetMode(autoreset_mode)
        self.metadata = {
            "render_modes": ["rgb_array"], "render_fps": 6, "autoreset_mode": self._mode
        }  # fmt: skip
        self._simulation = Simulation(checked, num_envs)
        self._instruction, self._seed = checked.instruction, checked.seed
        self._pictures = Pictures(self._simulation) if render_mode else None
        self.single_action_space = action_space(self._simulation)
        self.single_observation_space = observation_space(self._simulation, self._instruction)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self._ended = np.zeros(num_envs, np.bool_)  # whose episode ended in the last step
        self._all = np.ones(num_envs, np.bool_)
        self._frames = self._new_frames()

    @property
    def action_names(self) -> tuple[str, ...]:
        """What an action's id means."""
        return self._simulation.worlds.action_names

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, Info]:
        """Begin the first episodes of a seed, or without one the next episodes.

        Args:
            seed: keys every episode that follows, of all envs.
            options: ``{"reset_mask": [N] bool}`` begins new episodes in some of the envs only.

        Raises:
            ValueError: a mask of another kind, all False, before the first reset, or with a seed.
        """
        super().reset(seed=seed)
        mask = self._reset_mask(seed, options)
        if seed is not None:
            self._simulation.seed(seed)
        elif (self._simulation.episode < 0).all():
            entropy = self.np_random_seed if self._seed is None else self._seed
            self._simulation.seed(0 if entropy is None else entropy)
        frames, facts = self._arrays()
        if not mask.all():  # the others stay where they are
            worlds, ids = self._simulation.worlds, np.arange(self.num_envs, dtype=np.int32)
            worlds.restore(ids, worlds.save_state(), frames, facts)
        self._simulation.begin(np.flatnonzero(mask), frames, facts)
        self._ended = self._ended & ~mask
        return self._observe(frames, facts), self._info(facts, np.zeros(self.num_envs, np.bool_))

    def _reset_mask(self, seed: int | None, options: dict[str, Any] | None) -> NDArray[np.bool_]:
        mask: NDArray[np.bool_] | None = (options or {}).get("reset_mask")
        if mask is None:
            return self._all
        is_mask = isinstance(mask, np.ndarray) and mask.dtype == np.bool_
        if not is_mask or mask.shape != (self.num_envs,) or not mask.any():
            raise ValueError(f"reset_mask must be [{self.num_envs}] bool with a True, got {mask!r}")
        if seed is not None:
            raise ValueError("a seed is for all envs: give it without a reset_mask")
        if (self._simulation.episode[~mask] < 0).any():
            raise ValueError("the first reset must be of all envs: leave reset_mask out")
        return mask

    def step(self, actions: NDArray[np.int64]) -> StepResult:
        """Execute one action per env, [N] ids.

        An env whose episode ended begins its next as the autoreset mode says: in the next step,
        whose action it ignores; in the same step, whose last observation and info are then in
        ``info["final_obs"]`` and ``info["final_info"]``; or when ``reset`` asks for it.

        Raises:
            gymnasium.error.ResetNeeded: before the first reset, or an env has ended and the mode
                is "Disabled".
        """
        waiting = self._ended
        if (self._simulation.episode < 0).any():
            raise gymnasium.error.ResetNeeded("call reset before the first step")
        if self._mode is AutoresetMode.DISABLED and waiting.any():
            raise gymnasium.error.ResetNeeded("an episode is over: reset it with a reset_mask")
        frames, facts = self._arrays()
        draw = ~waiting if waiting.any() else None
        judged = self._simulation.step(np.asarray(actions, np.int64), frames, facts, draw)
        reward = np.where(waiting, 0.0, judged.reward).astype(np.float64)
        terminated, truncated = judged.terminated & ~waiting, judged.truncated & ~waiting
        success = judged.success & ~waiting
        ended, final = terminated | truncated, {}
        if waiting.any():
            self._simulation.begin(np.flatnonzero(waiting), frames, facts)
        if self._mode is AutoresetMode.SAME_STEP and ended.any():
            final = self._final(frames, facts, success, ended)
            self._simulation.begin(np.flatnonzero(ended), frames, facts)
            ended, success = np.zeros_like(ended), success & ~ended
        self._ended = ended
        info = self._info(facts, success) | final
        return self._observe(frames, facts), reward, terminated, truncated, info

    def render(self) -> tuple[NDArray[np.uint8], ...] | None:
        """[H, W, 3] uint8 of each env; None without a render mode."""
        if self._pictures is None:
            return None
        return tuple(self._pictures.draw(env) for env in range(self.num_envs))

    def close_extras(self, **kwargs: Any) -> None:  # noqa: ANN401
        """Free the worlds."""
        self._simulation.worlds.close()

    def _new_frames(self) -> NDArray[np.uint8]:
        return np.empty((self.num_envs, *self._simulation.worlds.camera.frame_shape), np.uint8)

    def _arrays(self) -> tuple[NDArray[np.uint8], Facts]:
        """What the simulator writes into in this call."""
        frames = self._new_frames() if self._copy else self._frames
        return frames, np.zeros(self.num_envs, self._simulation.worlds.facts_dtype)

    def _observe(self, frames: NDArray[np.uint8], facts: Facts) -> Observation:
        if self._pictures is not None:
            self._pictures.observe(facts)
        return observe(self._simulation, self._instruction, frames, facts)

    def _info(
        self, facts: Facts, success: NDArray[np.bool_], mask: NDArray[np.bool_] | None = None
    ) -> Info:
        mask = self._all if mask is None else mask
        info = {
            "facts": _with_masks({name: facts[name] for name in facts.dtype.names or ()}, mask),
            "success": success,
            "episode_index": self._simulation.episode.copy(),
            "shortest_path": self._simulation.shortest_paths.copy(),
        }
        return _with_masks(info, mask)

    def _final(
        self, frames: NDArray[np.uint8], facts: Facts, success: NDArray[np.bool_],
        ended: NDArray[np.bool_],
    ) -> Info:  # fmt: skip
        """The last observation and info of the episodes that ended, as Gymnasium lays them out."""
        last = observe(self._simulation, self._instruction, frames, facts)
        observations = np.full(self.num_envs, None, object)
        for env in np.flatnonzero(ended):
            one = of_one(last, int(env))
            observations[env] = one | {"frames": one["frames"].copy()}
        info = self._info(facts.copy(), success, ended)
        return _with_masks({"final_obs": observations, "final_info": info}, ended)


def _with_masks(info: Info, mask: NDArray[np.bool_]) -> Info:
    """The same with ``_key`` beside every key: which envs have it."""
    return info | {f"_{key}": mask.copy() for key in info}
