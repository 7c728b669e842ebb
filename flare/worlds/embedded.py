"""The embedded simulator (csrc/sim, csrc/render, csrc/env) behind the Worlds contract."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, lru_cache
from pathlib import Path
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
    REPORT_DTYPE,
    STATE_BOOKKEEPING,
    WORLD_STATE_BYTES,
    AssetLibrary,
    AssetPack,
    BatchEnv,
    FlareError,
    FollowedWorlds,
    House,
    HouseFormatError,
    Robot,
    camera_settings,
    look_seeds,
)
from flare.assets import library_json
from flare.assets.pack import PackFile, table_path
from flare.errors import UserError
from flare.robots import RobotSpec, load_robot
from flare.specs import NAVIGATION_ACTIONS, CameraSpec
from flare.worlds.house_worlds import HouseWorlds
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
    "REPORT_DTYPE",
    "STATE_BOOKKEEPING",
    "WORLD_STATE_BYTES",
    "AssetLibrary",
    "AssetPack",
    "EmbeddedWorlds",
    "FlareError",
    "FollowedWorlds",
    "House",
    "HouseFormatError",
    "Robot",
    "asset_library",
    "camera_settings",
    "load_house",
    "load_houses",
    "look_seeds",
    "make_robot",
    "open_assets",
]


@cache
def asset_library() -> AssetLibrary:
    """The object kinds and built-in assets that ship with the package; read once."""
    return AssetLibrary.from_json(library_json())


def open_assets(pack: Path) -> tuple[AssetLibrary, AssetPack]:
    """The meshes of a pack (``flare assets build``), and the library that knows their boxes.

    A file is opened once, as long as it stays the same.

    Raises:
        UserError, HouseFormatError: a file is missing or damaged, or the two do not fit.
    """
    try:
        stamps = tuple(each.stat().st_mtime_ns for each in (pack, table_path(pack)))
    except OSError as error:
        raise UserError(
            f"cannot be read ({error.strerror})",
            file=error.filename,
            mend="make the pack with flare assets build",
        ) from error
    return _open_assets(pack, stamps)


@lru_cache(maxsize=4)
def _open_assets(pack: Path, stamps: tuple[int, ...]) -> tuple[AssetLibrary, AssetPack]:
    with PackFile(pack):  # the table beside it belongs to it
        table = table_path(pack).read_text(encoding="utf-8")
    return AssetLibrary.from_json(library_json(), table), AssetPack.open(str(pack))


@cache
def make_robot(spec: RobotSpec | None = None) -> Robot:
    """The core's form of a robot, by default of Stretch; made once for each spec."""
    spec = load_robot("stretch") if spec is None else spec
    return Robot.from_json(spec.to_json(), f"robot {spec.name}")


def load_house(
    json_text: str, source: str, robot: RobotSpec | None = None, *, assets: Path | None = None
) -> House:
    """Read one ProcTHOR house document and prepare it for play.

    Args:
        json_text: the document.
        source: what to call it in messages, e.g. ``val.jsonl.gz line 3``.
        robot: whose places and distances the house tells by default, and whose maps are made now;
            Stretch by default. Other robots may play in it too.
        assets: a pack (``flare assets build``): objects whose asset it holds have their true box
            and are drawn with their mesh. The others, and all without a pack, are proxies.

    Raises:
        HouseFormatError: names source, key and mend.
        UserError: the pack is missing or damaged.
    """
    if assets is None:
        return House.load(json_text, source, asset_library(), make_robot(robot))
    library, pack = open_assets(assets)
    return House.load(json_text, source, library, make_robot(robot), pack)


def load_houses(
    items: Sequence[tuple[str, str]],
    num_threads: int = 1,
    robot: RobotSpec | None = None,
    *,
    assets: Path | None = None,
) -> list[House]:
    """Read many houses, in order, on several threads (loading drops the GIL).

    Args:
        items: pairs of source and document text.
        num_threads: at least 1.
        robot: as for load_house.
        assets: a pack, as for ``load_house``.

    Raises:
        HouseFormatError: of the first house that does not load.
        UserError: the pack is missing or damaged.
    """
    if assets is not None:
        open_assets(assets)  # once, before the threads ask for it
    with ThreadPoolExecutor(max_workers=max(1, num_threads)) as pool:
        return list(
            pool.map(lambda item: load_house(item[1], item[0], robot, assets=assets), items)
        )


class EmbeddedWorlds(HouseWorlds[House]):
    """N embedded worlds over a shared set of houses; implements ``flare.worlds.Worlds``.

    An episode's ``house`` is an index into ``houses``, its ``robot`` one into ``robots``. Results
    do not depend on ``num_threads``.
    """

    def __init__(
        self,
        houses: Sequence[House],
        *,
        num_envs: int,
        robots: Sequence[RobotSpec] = (),
        num_threads: int = 1,
        camera: CameraSpec | None = None,
        action_names: tuple[str, ...] = NAVIGATION_ACTIONS,
    ) -> None:
        """Make N worlds without episodes; call ``reset`` for all of them first.

        Args:
            houses: at least one.
            num_envs: N.
            robots: those that episodes name by index; Stretch alone by default.
            num_threads: threads that step and draw, the calling one included.
            camera: size and number of the frames; the original's by default.
            action_names: the policy's actions in the order of its ids.

        Raises:
            UserError: an action that does not exist, or that one of the robots lacks.
            FlareError: no houses, a count that is not positive, or more cameras than a robot has.
        """
        robots = tuple(robots) or (load_robot("stretch"),)
        super().__init__(
            houses, robots, FACTS_DTYPE, num_envs=num_envs, camera=camera, action_names=action_names
        )
        self._faulted = np.zeros(num_envs, np.bool_)
        self._faulted.flags.writeable = False
        self._env: BatchEnv | None = BatchEnv(
            list(houses),
            [make_robot(robot) for robot in robots],
            num_envs=num_envs,
            num_threads=num_threads,
            width=self._camera.width,
            height=self._camera.height,
            num_cameras=self._camera.num_cameras,
        )

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
        self,
        actions: NDArray[np.integer[Any]],
        frames: NDArray[np.uint8],
        facts: NDArray[np.void],
        draw: NDArray[np.bool_] | None = None,
    ) -> None:
        """Execute one policy action per env, [N] integer ids; write every row.

        Where ``draw`` [N] is False the frame is not wanted and left as it is; facts are the same.

        Raises:
            IndexError: an id the policy does not have.
            FlareError: a wrong array, an env without an episode, or an action its robot lacks.
        """
        self._open().step(self._to_core(actions), frames, facts, draw)

    @property
    def faulted(self) -> NDArray[np.bool_]:
        """[N] False: worlds of this process do not fail alone."""
        return self._faulted

    def expert_actions(self) -> NDArray[np.int64]:
        """[N] int64 policy ids of the shortest-path expert's next actions.

        Raises:
            UserError: the expert wants an action that the policy does not have.
        """
        return self._to_policy(self._open().expert_actions())

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
            ids: also return instance ids, 0 structure, 1 + k the house's object k, 65535 the robot.

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

    def moved_objects(self, env: int) -> list[tuple[int, tuple[float, float, float], float]]:
        """What one env has moved: object, (x, y, z) of its box's centre in m, yaw in degrees.

        Those that were put down elsewhere, then the one in the hand.
        """
        return self._open().moved_objects(env)

    def arm_contacts(self, env: int) -> list[int]:
        """Solids, by a number of the house's own, that the arm or its load overlaps.

        An arm may start, and a load be taken, inside of something; no motion adds to it.
        """
        return self._open().arm_contacts(env)

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
