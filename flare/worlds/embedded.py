"""The embedded simulator (csrc/sim, csrc/render, csrc/env) behind the Worlds contract."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flare._core import (
    ACTION_NAMES,
    EPISODE_DTYPE,
    FACTS_DTYPE,
    GOALS,
    MAX_ROOMS,
    MAX_TARGETS,
    RANDOM_LIGHTS,
    RANDOM_MATERIALS,
    RANDOM_TEXTURES,
    WORLD_STATE_BYTES,
    AssetLibrary,
    AssetPack,
    BatchEnv,
    FlareError,
    House,
    HouseFormatError,
)
from flare.assets import library_json
from flare.errors import UserError
from flare.specs import NAVIGATION_ACTIONS, ActionSpec, CameraSpec
from flare.worlds.world import all_env_ids

__all__ = [
    "ACTION_NAMES",
    "EPISODE_DTYPE",
    "FACTS_DTYPE",
    "GOALS",
    "MAX_ROOMS",
    "MAX_TARGETS",
    "RANDOM_LIGHTS",
    "RANDOM_MATERIALS",
    "RANDOM_TEXTURES",
    "WORLD_STATE_BYTES",
    "AssetLibrary",
    "AssetPack",
    "EmbeddedWorlds",
    "FlareError",
    "House",
    "HouseFormatError",
    "asset_library",
    "load_house",
    "load_houses",
]


@cache
def asset_library() -> AssetLibrary:
    """The object kinds and built-in assets that ship with the package; read once."""
    return AssetLibrary.from_json(library_json())


def load_house(json_text: str, source: str) -> House:
    """Read one ProcTHOR house document and prepare it for play.

    Args:
        json_text: the document.
        source: what to call it in messages, e.g. ``val.jsonl.gz line 3``.

    Raises:
        HouseFormatError: names source, key and mend.
    """
    return House.load(json_text, source, asset_library())


def load_houses(items: Sequence[tuple[str, str]], num_threads: int = 1) -> list[House]:
    """Read many houses, in order, on several threads (loading drops the GIL).

    Args:
        items: pairs of source and document text.
        num_threads: at least 1.

    Raises:
        HouseFormatError: of the first house that does not load.
    """
    with ThreadPoolExecutor(max_workers=max(1, num_threads)) as pool:
        return list(pool.map(lambda item: load_house(item[1], item[0]), items))


class EmbeddedWorlds:
    """N embedded worlds over a shared set of houses; implements ``flare.worlds.Worlds``.

    An episode's ``house`` is an index into ``houses``. Results do not depend on ``num_threads``.
    """

    def __init__(
        self,
        houses: Sequence[House],
        *,
        num_envs: int,
        num_threads: int = 1,
        camera: CameraSpec | None = None,
        action_names: tuple[str, ...] = NAVIGATION_ACTIONS,
    ) -> None:
        """Make N worlds without episodes; call ``reset`` for all of them first.

        Args:
            houses: at least one.
            num_envs: N.
            num_threads: threads that step and draw, the calling one included.
            camera: size and number of the frames; the original's by default.
            action_names: the policy's actions in the order of its ids.

        Raises:
            UserError: an action that does not exist.
            FlareError: no houses, or a count that is not positive.
        """
        actions = ActionSpec(action_names)
        self._camera = CameraSpec() if camera is None else camera
        self._houses = tuple(houses)
        self._num_envs = num_envs
        self._faulted = np.zeros(num_envs, np.bool_)
        self._faulted.flags.writeable = False
        self._action_names = actions.names
        self._sim_actions = actions.sim_actions()  # [A] int32
        self._policy_actions = actions.policy_actions()  # [20] int64
        self._env: BatchEnv | None = BatchEnv(
            list(houses),
            num_envs=num_envs,
            num_threads=num_threads,
            width=self._camera.width,
            height=self._camera.height,
            num_cameras=self._camera.num_cameras,
        )

    @property
    def num_envs(self) -> int:
        """N."""
        return self._num_envs

    @property
    def camera(self) -> CameraSpec:
        """Size and number of the frames."""
        return self._camera

    @property
    def facts_dtype(self) -> np.dtype[np.void]:
        """``FACTS_DTYPE``."""
        return FACTS_DTYPE

    @property
    def action_names(self) -> tuple[str, ...]:
        """What ``step`` understands; an action's id is the index here."""
        return self._action_names

    @property
    def houses(self) -> tuple[House, ...]:
        """The houses that episodes name by index."""
        return self._houses

    def reset(
        self,
        env_ids: NDArray[np.int32],
        specs: NDArray[np.void],
        frames: NDArray[np.uint8],
        facts: NDArray[np.void],
    ) -> None:
        """Start episodes in the envs ``env_ids`` [n] from ``specs`` [n]; write only their rows.

        Raises:
            FlareError: a wrong array, or a start, target or house that does not exist; then no env
                has changed.
        """
        self._open().reset(env_ids, specs, frames, facts)

    def step(
        self, actions: NDArray[np.integer[Any]], frames: NDArray[np.uint8], facts: NDArray[np.void]
    ) -> None:
        """Execute one policy action per env, [N] integer ids; write every row.

        Raises:
            IndexError: an id the policy does not have.
            FlareError: a wrong array, an env without an episode, or an action of the arm.
        """
        if actions.size and int(actions.min()) < 0:
            raise IndexError(f"action {int(actions.min())} is negative")
        self._open().step(self._sim_actions[actions], frames, facts)

    @property
    def faulted(self) -> NDArray[np.bool_]:
        """[N] False: worlds of this process do not fail alone."""
        return self._faulted

    def expert_actions(self) -> NDArray[np.int64]:
        """[N] int64 policy ids of the shortest-path expert's next actions.

        Raises:
            UserError: the expert wants an action that the policy does not have.
        """
        actions = self._policy_actions[self._open().expert_actions()]
        if actions.size and int(actions.min()) < 0:
            raise UserError(
                "the expert needs an action that the policy does not have",
                mend=f"use the actions {', '.join(NAVIGATION_ACTIONS)}",
                key="action_names",
            )
        return actions

    def render(
        self,
        env_ids: NDArray[np.int32] | None = None,
        camera: int = 0,
        width: int | None = None,
        height: int | None = None,
        *,
        depth: bool = False,
        ids: bool = False,
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32] | None, NDArray[np.uint16] | None]:
        """Draw the present state again, at any size, without touching it.

        Args:
            env_ids: [n] int32; all envs by default.
            camera: 0 navigation, 1 manipulation, whether or not the policy sees it.
            width: px; the frames' width by default.
            height: px; the frames' height by default.
            depth: also return metres along the optical axis, 0 where nothing is.
            ids: also return instance ids, 0 structure, 1 + k the house's object k.

        Returns:
            rgb [n, h, w, 3] uint8, depth [n, h, w] float32 or None, ids [n, h, w] uint16 or None.
        """
        return self._open().render(
            all_env_ids(self.num_envs) if env_ids is None else env_ids,
            camera,
            width or self._camera.width,
            height or self._camera.height,
            depth=depth,
            ids=ids,
        )

    def save_state(self) -> NDArray[np.uint8]:
        """[N, WORLD_STATE_BYTES] opaque bytes from which ``restore`` continues exactly."""
        return self._open().save_state()

    def restore(
        self,
        env_ids: NDArray[np.int32],
        states: NDArray[np.uint8],
        frames: NDArray[np.uint8],
        facts: NDArray[np.void],
    ) -> None:
        """Put saved rows [n, B] back into the envs ``env_ids`` [n] and write their rows again.

        Raises:
            FlareError: a state that does not fit these houses; then no env has changed.
        """
        self._open().restore(env_ids, states, frames, facts)

    def close(self) -> None:
        """Stop the threads and free the images; nothing may be called afterwards."""
        self._env = None

    def _open(self) -> BatchEnv:
        if self._env is None:
            raise RuntimeError("these worlds are closed")
        return self._env
