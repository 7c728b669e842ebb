"""C++ core of flare: shared-memory rollouts, GAE, the embedded house simulator."""

from typing import Any, Generic, TypedDict, TypeVar, final, overload

import numpy as np
from numpy.typing import NDArray

_Request = TypeVar("_Request")

# --- core ---

class FlareError(Exception): ...
class ShapeError(FlareError, ValueError): ...
class DtypeError(FlareError, TypeError): ...
class StateError(FlareError, RuntimeError): ...
class SharedMemoryError(FlareError, OSError): ...
class HouseFormatError(FlareError, ValueError): ...

def keyed_bits(seed: int, env: int, episode: int, step: int, draw: int) -> int: ...

# --- rollout ---

class RolloutBuffer:
    """Arrays in shared memory and the hand-over of their slots."""

    @staticmethod
    def create(
        specs: list[tuple[str, str, int, list[int]]], num_envs: int, name: str
    ) -> RolloutBuffer: ...
    @staticmethod
    def attach_process(pid: int, fd: int, token: int) -> RolloutBuffer: ...
    @staticmethod
    def attach_fd(fd: int, token: int) -> RolloutBuffer: ...
    @staticmethod
    def attach_named(name: str, token: int) -> RolloutBuffer: ...
    @property
    def specs(self) -> list[tuple[str, str, int, list[int]]]: ...
    @property
    def num_envs(self) -> int: ...
    @property
    def num_bytes(self) -> int: ...
    @property
    def address(self) -> int: ...
    @property
    def fd(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def token(self) -> int: ...
    def array_bytes(self, name: str) -> NDArray[np.uint8]: ...
    @overload
    def send_actions(self, envs: NDArray[np.int32], step: int, command: int) -> None: ...
    @overload
    def send_actions(
        self, envs: NDArray[np.int32], steps: NDArray[np.uint32], command: int
    ) -> None: ...
    def wait_ready(
        self, min_count: int, timeout: float | None
    ) -> tuple[NDArray[np.int32], NDArray[np.int32]]: ...
    def expect_worker(self, env: int, pid: int) -> None: ...
    def reclaim(self, env: int) -> None: ...
    def state(self, env: int) -> int: ...

@final
class Requests(Generic[_Request]):
    """The requests of one slot, until CLOSE."""

    def __iter__(self) -> Requests[_Request]: ...
    def __next__(self) -> _Request: ...

class WorkerSlot:
    """The environment's side of one slot."""

    def __init__(self, buffer: RolloutBuffer, env: int) -> None: ...
    def take_request(self, timeout: float | None) -> tuple[int, int] | None: ...
    def iterate(
        self, request_type: type[_Request], commands: tuple[object, ...]
    ) -> Requests[_Request]: ...
    def finish_step(self) -> None: ...
    def leave(self) -> None: ...
    @property
    def env(self) -> int: ...

# --- gae ---

def compute_gae(
    rewards: NDArray[np.float32],
    values: NDArray[np.float32],
    terminated: NDArray[Any],
    truncated: NDArray[Any],
    final_values: NDArray[np.float32],
    gamma: float,
    gae_lambda: float,
    advantages: NDArray[np.float32] | None = None,
    returns: NDArray[np.float32] | None = None,
    valid: NDArray[Any] | None = None,
    truncation_is_terminal: bool = False,
    num_threads: int = 0,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]: ...
def compute_gae_segments(
    rewards: NDArray[np.float32],
    values: NDArray[np.float32],
    terminated: NDArray[Any],
    truncated: NDArray[Any],
    final_values: NDArray[np.float32],
    offsets: NDArray[np.int64],
    bootstrap_values: NDArray[np.float32],
    gamma: float,
    gae_lambda: float,
    advantages: NDArray[np.float32] | None = None,
    returns: NDArray[np.float32] | None = None,
    valid: NDArray[Any] | None = None,
    truncation_is_terminal: bool = False,
    num_threads: int = 0,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]: ...

# --- house ---

class _Category(TypedDict):
    index: int
    type: str
    size: tuple[float, float, float]
    color: tuple[float, float, float]
    pickupable: bool
    on_wall: bool

class _Room(TypedDict):
    id: str
    type: str
    polygon: NDArray[np.float32]  # [K, 2] x, z
    color: tuple[float, float, float]

class _Opening(TypedDict):
    id: str
    kind: str  # "door" or "window"
    rooms: tuple[int, int]
    ends: tuple[float, float, float, float]  # x0, z0, x1, z1
    height: tuple[float, float]
    passable: bool
    leaves: list[tuple[float, float, float, float]]  # of an open door: hinge x, z, tip x, z

class _Object(TypedDict):
    id: str
    type: str
    asset_id: str
    category: int
    center: tuple[float, float, float]
    size: tuple[float, float, float]
    yaw_deg: float
    room: int
    parent: int
    pickupable: bool
    on_wall: bool
    color: tuple[float, float, float]

class AssetLibrary:
    """What is known of object kinds: sizes, shapes and colours."""

    @staticmethod
    def from_json(text: str, pack_table: str = ...) -> AssetLibrary: ...
    @property
    def types(self) -> list[str]: ...
    def size_of(self, asset_id: str) -> tuple[float, float, float] | None: ...
    def category(self, type: str) -> _Category: ...

class AssetPack:
    """Textured meshes of assets in a mapped file. Immutable."""

    @staticmethod
    def open(path: str) -> AssetPack: ...
    def __len__(self) -> int: ...
    def __contains__(self, asset_id: str) -> bool: ...
    def check(self) -> None: ...

class Robot:
    """One robot's data, read. Immutable."""

    @staticmethod
    def from_json(text: str, source: str) -> Robot: ...
    @property
    def name(self) -> str: ...

class House:
    """A house ready to be played and drawn. Immutable."""

    @staticmethod
    def load(
        json: str,
        source: str,
        library: AssetLibrary,
        robot: Robot,
        pack: AssetPack | None = None,
    ) -> House: ...
    @property
    def source(self) -> str: ...
    @property
    def hash(self) -> int: ...
    @property
    def num_rooms(self) -> int: ...
    @property
    def bounds(self) -> tuple[float, float, float, float]: ...  # xmin, zmin, xmax, zmax
    @property
    def start(self) -> tuple[float, float, float]: ...  # x, z, yaw in degrees
    def rooms(self) -> list[_Room]: ...
    def walls(self) -> NDArray[np.float32]: ...  # [W, 4] x0, z0, x1, z1
    def openings(self) -> list[_Opening]: ...
    def objects(self) -> list[_Object]: ...
    # Of the robot it was loaded for, or of another.
    def reachable(self, robot: Robot | None = ...) -> NDArray[np.float32]: ...  # [M, 2] x, z
    def reachable_rooms(self, robot: Robot | None = ...) -> NDArray[np.int32]: ...  # [M]
    # [M] m, -1 unreachable; ids are objects, for the goal "enter_room" rooms
    def geodesic(
        self, ids: list[int], goal: str = ..., robot: Robot | None = ...
    ) -> NDArray[np.float32]: ...
    def blocked(self, x: float, z: float, yaw_deg: float, robot: Robot | None = ...) -> bool: ...
    def room_at(self, x: float, z: float) -> int: ...  # -1 in none

# --- env ---

FACTS_DTYPE: np.dtype[np.void]
EPISODE_DTYPE: np.dtype[np.void]
WORLD_STATE_BYTES: int
MAX_TARGETS: int
STATE_BOOKKEEPING: tuple[tuple[int, int], ...]
MAX_ROOMS: int
ACTION_NAMES: tuple[str, ...]
GOALS: tuple[str, ...]
RANDOM_MATERIALS: int
RANDOM_LIGHTS: int
RANDOM_TEXTURES: int

class BatchEnv:
    """N embedded worlds over a pool of threads."""

    def __init__(
        self,
        houses: list[House],
        robots: list[Robot],
        *,
        num_envs: int,
        num_threads: int,
        width: int,
        height: int,
        num_cameras: int,
    ) -> None: ...
    @property
    def num_envs(self) -> int: ...
    @property
    def num_threads(self) -> int: ...
    def reset(
        self,
        env_ids: NDArray[np.int32],
        specs: NDArray[np.void],
        frames: NDArray[np.uint8],
        facts: NDArray[np.void],
    ) -> None: ...
    def step(
        self,
        actions: NDArray[np.int32],
        frames: NDArray[np.uint8],
        facts: NDArray[np.void],
        draw: NDArray[np.bool_] | None = ...,
    ) -> None: ...
    def expert_actions(self) -> NDArray[np.int32]: ...
    def render(
        self,
        env_ids: NDArray[np.int32],
        camera: int,
        width: int,
        height: int,
        *,
        depth: bool = ...,
        ids: bool = ...,
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32] | None, NDArray[np.uint16] | None]: ...
    def moved_objects(self, env: int) -> list[tuple[int, tuple[float, float, float], float]]: ...
    def arm_contacts(self, env: int) -> list[int]: ...
    def save_state(self) -> NDArray[np.uint8]: ...  # [N, WORLD_STATE_BYTES]
    def restore(
        self,
        env_ids: NDArray[np.int32],
        states: NDArray[np.uint8],
        frames: NDArray[np.uint8],
        facts: NDArray[np.void],
    ) -> None: ...

REPORT_DTYPE: np.dtype[np.void]

def look_seeds(spec: NDArray[np.void]) -> tuple[int, int]: ...
def camera_settings(house: House, spec: NDArray[np.void]) -> list[tuple[float, float]]: ...

class FollowedWorlds:
    """N worlds whose robots move in other simulators."""

    def __init__(self, houses: list[House], num_envs: int) -> None: ...
    def check(self, env_ids: NDArray[np.int32], specs: NDArray[np.void]) -> None: ...
    def prepare(self, spec: NDArray[np.void]) -> None: ...
    def reset(
        self,
        env_ids: NDArray[np.int32],
        specs: NDArray[np.void],
        reports: NDArray[np.void],
        facts: NDArray[np.void],
    ) -> None: ...
    def follow(
        self,
        env_ids: NDArray[np.int32],
        actions: NDArray[np.int32],
        reports: NDArray[np.void],
        facts: NDArray[np.void],
    ) -> NDArray[np.bool_]: ...  # [n]
    def restore(
        self,
        env_ids: NDArray[np.int32],
        states: NDArray[np.uint8],
        reports: NDArray[np.void],
        facts: NDArray[np.void],
    ) -> None: ...
    def save_state(self) -> NDArray[np.uint8]: ...  # [N, WORLD_STATE_BYTES]
    def expert_actions(self) -> NDArray[np.int32]: ...
