"""One robot as data, checked: its body, steps, cameras, arm and actions (csrc/sim/robot.hpp).

Lengths in metres, angles in degrees; x right, y up, z ahead of the reference point.
"""

import json
from dataclasses import dataclass, field

from flare.config import to_dict
from flare.errors import UserError
from flare.specs import ActionSpec

Range = tuple[float, float]
Point = tuple[float, float, float]

_FARTHEST = 5.0  # m; a length beyond is a mistake of unit
_ARM_ACTIONS = ("pickup", "dropoff", "move_arm", "wrist")


def _require(is_good: bool, key: str, value: object, mend: str) -> None:
    if not is_good:
        raise UserError(f"is {value}", key=key, mend=mend)


def _require_between(key: str, value: float, low: float, high: float) -> None:
    _require(low <= value <= high, key, value, f"use {low:g} to {high:g}")


def _require_range(key: str, value: Range, low: float, high: float) -> None:
    is_good = low <= value[0] <= value[1] <= high
    _require(is_good, key, list(value), f"give two numbers in order, from {low:g} to {high:g}")


def _require_point(key: str, value: Point) -> None:
    is_good = all(abs(part) <= _FARTHEST for part in value)
    _require(is_good, key, list(value), f"use metres, {-_FARTHEST:g} to {_FARTHEST:g}")


@dataclass(frozen=True, kw_only=True, slots=True)
class BodySpec:
    """A disc that reaches from the floor to a height."""

    radius: float
    height: float
    centre_offset: float = 0.0  # along the heading, from the reference point to the disc
    reference_height: float  # of the reference point above the floor

    def __post_init__(self) -> None:
        _require_between("radius", self.radius, 0.01, _FARTHEST)
        _require_between("height", self.height, 0.01, _FARTHEST)
        _require_between("centre_offset", self.centre_offset, -_FARTHEST, _FARTHEST)
        _require_between("reference_height", self.reference_height, 0.0, _FARTHEST)


@dataclass(frozen=True, kw_only=True, slots=True)
class StepSpec:
    """What a base action changes."""

    move: float
    rotate: float
    rotate_small: float

    def __post_init__(self) -> None:
        _require_between("move", self.move, 0.001, _FARTHEST)
        _require_between("rotate", self.rotate, 0.1, 180.0)
        _require_between("rotate_small", self.rotate_small, 0.1, 180.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class CameraMount:
    """A camera on the body; pitch is positive downwards, the field of view vertical."""

    position: Point
    yaw: float = 0.0  # relative to the heading
    pitch: float
    pitch_noise: float = 0.0  # half the range drawn per episode
    fov: float
    fov_noise: float = 0.0

    def __post_init__(self) -> None:
        _require_point("position", self.position)
        _require_between("yaw", self.yaw, -360.0, 360.0)
        _require_between("pitch", self.pitch, -89.0, 89.0)
        _require_between("pitch_noise", self.pitch_noise, 0.0, 45.0)
        _require_between("fov", self.fov, 1.0, 150.0)
        _require_between("fov_noise", self.fov_noise, 0.0, 45.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class CamerasSpec:
    """One or two cameras."""

    navigation: CameraMount
    manipulation: CameraMount | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmPose:
    """The joints of an arm."""

    lift: float
    extension: float
    wrist_yaw: float


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmSpec:
    """A lift, a telescope and a wrist that turns a hand about the vertical."""

    base: Point  # of lift 0 and extension 0
    yaw: float  # direction it extends in, relative to the heading
    lift: Range
    extension: Range
    wrist_yaw: Range  # what lies outside is the forbidden zone
    rest: ArmPose  # at the start of an episode
    stowed_extension: float  # no farther out an empty arm is folded along the body
    step: float
    small_step: float
    wrist_step: float
    least_change: float  # a lift or extension that changes less has failed
    least_turn: float
    radius: float  # of bar and hand
    hand_length: float  # wrist to the centre of the hand sphere
    grasp_radius: float  # of the hand sphere

    def __post_init__(self) -> None:
        _require_point("base", self.base)
        _require_between("yaw", self.yaw, -360.0, 360.0)
        _require_range("lift", self.lift, -_FARTHEST, _FARTHEST)
        _require_range("extension", self.extension, 0.0, _FARTHEST)
        _require_range("wrist_yaw", self.wrist_yaw, -360.0, 360.0)
        _require_between("rest.lift", self.rest.lift, *self.lift)
        _require_between("rest.extension", self.rest.extension, *self.extension)
        _require_between("rest.wrist_yaw", self.rest.wrist_yaw, *self.wrist_yaw)
        _require_between("stowed_extension", self.stowed_extension, 0.0, _FARTHEST)
        for key in ("step", "small_step", "hand_length", "grasp_radius"):
            _require_between(key, getattr(self, key), 0.0001, _FARTHEST)
        _require_between("wrist_step", self.wrist_step, 0.1, 180.0)
        _require_between("least_change", self.least_change, 0.0, _FARTHEST)
        _require_between("least_turn", self.least_turn, 0.0, 180.0)
        _require_between("radius", self.radius, 0.005, 0.1)


@dataclass(frozen=True, kw_only=True, slots=True)
class VariationSpec:
    """Ranges from which other bodies of a robot's kind are drawn; None: as the robot has it."""

    radius: Range | None = None  # of the body
    height: Range | None = None  # of the body
    camera_height: Range | None = None  # added to each camera's
    camera_pitch: Range | None = None  # added to each camera's
    fov: Range | None = None  # added to each camera's

    def __post_init__(self) -> None:
        limits = {
            "radius": (0.01, _FARTHEST),
            "height": (0.01, _FARTHEST),
            "camera_height": (-_FARTHEST, _FARTHEST),
            "camera_pitch": (-89.0, 89.0),
            "fov": (-149.0, 149.0),
        }
        for key, (low, high) in limits.items():
            value: Range | None = getattr(self, key)
            if value is not None:
                _require_range(key, value, low, high)


@dataclass(frozen=True, kw_only=True, slots=True)
class RobotSpec:
    """One robot. ``to_json`` is what the simulator reads."""

    name: str
    body: BodySpec
    steps: StepSpec
    cameras: CamerasSpec
    arm: ArmSpec | None = None
    actions: tuple[str, ...]  # those it has, names of flare.specs.ACTION_NAMES
    color: Point = (0.6, 0.6, 0.6)  # of arm and hand, red, green, blue in [0, 1]
    variation: VariationSpec = field(default_factory=VariationSpec)

    def __post_init__(self) -> None:
        _require(self.name != "", "name", "empty", "give the robot a name")
        is_color = all(0.0 <= part <= 1.0 for part in self.color)
        _require(is_color, "color", list(self.color), "use three numbers from 0 to 1")
        try:
            ActionSpec(self.actions)
        except UserError as error:
            raise UserError(error.what, mend=error.mend, key="actions") from error
        for name in self.actions:
            if self.arm is None and name.startswith(_ARM_ACTIONS):
                raise UserError(
                    f"{name!r} needs an arm", key="actions", mend="remove it, or describe the arm"
                )

    @property
    def num_cameras(self) -> int:
        """1 or 2."""
        return 1 if self.cameras.manipulation is None else 2

    def to_json(self) -> str:
        """The text that ``flare._core.Robot.from_json`` reads."""
        return json.dumps(to_dict(self), indent=1)
