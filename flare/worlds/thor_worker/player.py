"""Episodes in one AI2-THOR process: the original's order of actions, and reports of what they did.

Section numbers are those of AI2-THOR's actions as the original sends them: a house reset with its
calibration, settling of physics, looks, the start's teleport, then one THOR action per policy
action.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .channel import MAX_MOVED, REPORT_DTYPE, ReportRow

_NAV_MESHES = tuple(
    {
        "id": index,
        "agentRadius": radius,
        "agentHeight": 1.8,
        "agentSlope": 10,
        "agentClimb": 0.5,
        "voxelSize": 0.1666667,
    }
    for index, radius in enumerate((0.5, 0.4, 0.3, 0.2))
)
_LIFT_JOINT_HEIGHT = 0.16297650337219238  # m, root-relative, at lift 0
_EXTENSION_OFFSET = 0.25946 - 0.0163  # m, extension where the wrist's root-relative z is 0
_WRIST_STOPS = (100.0, 75.0)  # degrees about y: opening ends at the first, closing at the second
_WRIST_STEP = 10.0
_AT_HOME = 1e-4  # m; what is nearer to its home has not moved

# Policy actions by the core's ids (csrc/sim/action.hpp): base (ahead m, turn degrees), arm (lift m,
# extension m), wrist (-1 opens, 1 closes).
_BASE = {
    0: (0.2, 0.0),
    1: (0.0, 30.0),
    2: (0.0, -30.0),
    3: (-0.2, 0.0),
    6: (0.0, -6.0),
    7: (0.0, 6.0),
}
_ARM = {
    9: (0.0, -0.1),
    10: (0.0, 0.1),
    11: (0.1, 0.0),
    12: (-0.1, 0.0),
    15: (-0.02, 0.0),
    16: (0.0, -0.02),
    17: (0.0, 0.02),
    18: (0.02, 0.0),
}
_WRIST = {13: -1, 14: 1}
_PICKUP, _DROPOFF = 8, 19


class House:
    """One house document with what the trainer's core calls its objects."""

    def __init__(self, text: bytes) -> None:
        entry = json.loads(text)
        self.document = entry["house"]
        self.object_ids = entry["objects"]
        self.centers = entry["centers"]
        self.pickupable = entry["pickupable"]
        self.index = {name: i for i, name in enumerate(self.object_ids)}
        metadata = self.document.setdefault("metadata", {})
        metadata["navMeshes"] = list(_NAV_MESHES)
        agent = metadata.setdefault(
            "agent",
            {"position": {"x": 0, "y": 0.95, "z": 0}, "rotation": {"x": 0, "y": 270, "z": 0},
             "horizon": 30, "standing": True},
        )  # fmt: skip
        agent["horizon"] = 0


class Player:
    """Plays episodes with a controller."""

    def __init__(self, controller: Any, hook: Any, config: dict[str, Any]) -> None:
        self._controller, self._hook = controller, hook
        self._num_cameras = config["num_cameras"]
        self._is_quick = config["use_quick_navi_action"]
        self._crop = config["crop"]
        self._settle_seconds = config["settle_seconds"]
        self._view_distance = config["view_distance"]
        self._house: Any = None  # House, once one is loaded
        self._house_key = -1
        self._is_pristine = False
        self._has_second = False  # the manipulation camera is there
        self._is_lit = False  # other lights than the house's own
        self._targets: list[str] = []
        self._target_of: dict[str, int] = {}
        self._held = -1
        self._frame_event: Any = None
        hook.after_start(controller)

    def load(self, box: Any, house_of: Any) -> None:
        """Start the episode a request names; ``house_of(index)`` gives a House.

        Raises:
            RuntimeError: AI2-THOR refuses the house or the start.
        """
        key = int(box["house"])
        has_second = self._num_cameras > 1 or bool(box["counts_manipulation"])
        if (key, has_second) != (self._house_key, self._has_second) or not self._is_pristine:
            self._house_key = -1  # whatever fails now leaves no house
            self._house, self._has_second = house_of(key), has_second
            self._reset_house()
            self._house_key, self._is_pristine = key, True
        self._calibrate(box)
        self._set_looks(int(box["material_seed"]), int(box["light_seed"]))
        self._controller.step(
            "Teleport",
            position={"x": float(box["x"]), "y": 0.9009982, "z": float(box["z"])},
            rotation={"x": 0.0, "y": float(box["yaw_deg"]), "z": 0.0},
            raise_for_failure=True,
            renderImageSynthesis=False,
        )
        self._frame_event = self._controller.last_event
        indices = box["targets"][: int(box["num_targets"])]
        self._targets = [self._house.object_ids[i] for i in indices]
        self._target_of = {name: k for k, name in enumerate(self._targets)}
        self._held = -1
        for action in box["history"][: int(box["num_history"])]:
            self.step(int(action), ReportRow(np.zeros(1, REPORT_DTYPE)), None)

    def _reset_house(self) -> None:
        controller = self._controller
        self._hook.before_house(controller, self._house.document)
        controller.reset(self._house.document)
        if not controller.last_event.metadata["lastActionSuccess"]:
            raise RuntimeError("CreateHouse: " + controller.last_event.metadata["errorMessage"])
        for action in (
            {"action": "SetGripperOpenness", "openness": 30},
            {"action": "ToggleMagnetVisibility", "visible": False},
            {"action": "SetObjectFilter", "objectIds": []},
            {"action": "AdvancePhysicsStep", "simSeconds": self._settle_seconds},
        ):
            controller.step(renderImage=False, raise_for_failure=True, **action)
        if not self._has_second:
            controller.step("DisableSecondaryCamera", renderImage=False)

    def _calibrate(self, box: Any) -> None:
        """Tilt and field of view of both cameras."""
        quiet = {"renderImage": False, "raise_for_failure": True}
        step = self._controller.step
        names = ("FirstPersonCharacter", "SecondaryCamera")[: 1 + self._has_second]
        for camera, _ in enumerate(names):
            degrees = float(box["pitch_deg"][camera])
            step("RotateCameraMount", degrees=degrees, secondary=camera == 1, **quiet)
        for camera, name in enumerate(names):
            step("ChangeFOV", fieldOfView=float(box["fov_deg"][camera]), camera=name, **quiet)

    def _set_looks(self, material_seed: int, light_seed: int) -> None:
        quiet = {"renderImage": False, "raise_for_failure": True}
        step = self._controller.step
        for seed, draw, undo in (
            (material_seed, "RandomizeMaterials", "ResetMaterials"),
            (light_seed, "RandomizeLighting", "ResetLighting"),
        ):
            if seed:
                step("SetRandomSeed", seed=seed, **quiet)
                step(draw, **quiet)
            elif undo == "ResetMaterials" or self._is_lit:
                step(undo, **quiet)
        self._is_lit = bool(light_seed)

    def step(self, action: int | None, report: ReportRow, frames: NDArray[Any] | None) -> None:
        """Execute one policy action, show and report what it did.

        Args:
            action: None to look at what is.
            report: written.
            frames: [C, H, W, 3] uint8, written; None if nobody looks.
        """
        is_blocked = False
        if action is not None:
            is_blocked = self._execute(action)
        if frames is not None:
            self._write_frames(frames)  # before anything else: they are still in the cache
        self._describe(report, is_blocked)

    def _execute(self, action: int) -> bool:
        """Whether the motion was blocked."""
        if action in _BASE:
            return self._move_base(*_BASE[action])
        if action in _ARM or action in _WRIST:
            self._is_pristine = False
            return self._move_arm(action)
        if action == _PICKUP:
            self._is_pristine = False
            self._act("PickupObject")
        elif action == _DROPOFF:
            self._is_pristine = False
            self._act("ReleaseObject")
            if self._controller.last_event.metadata["lastActionSuccess"]:
                self._act("AdvancePhysicsStep", simSeconds=2)
        return False

    def _act(self, name: str, **arguments: Any) -> str:
        """Send one action whose frames are wanted; returns its error message."""
        event = self._controller.step(name, renderImageSynthesis=False, **arguments)
        self._frame_event = event
        return str(event.metadata["errorMessage"])

    def _move_base(self, ahead: float, turn: float) -> bool:
        if self._is_quick:
            if turn:
                error = self._act("RotateRightQuick", degrees=turn)
            elif ahead > 0:
                error = self._act("MoveAheadQuick", moveMagnitude=ahead)
            else:
                error = self._act("MoveBackQuick", moveMagnitude=-ahead)
        elif turn:
            error = self._act("RotateAgent", degrees=turn, returnToStart=False, speed=1)
        else:
            error = self._act("MoveAgent", ahead=ahead, returnToStart=False, speed=1)
        return "collided" in error.lower()

    def _move_arm(self, action: int) -> bool:
        lift, extension, wrist = _arm_state(self._controller.last_event.metadata["arm"])
        if action in _WRIST:
            sign = _WRIST[action]
            left = abs(wrist - _WRIST_STOPS[0]) if sign < 0 else abs(_WRIST_STOPS[1] - wrist)
            error = self._act(
                "RotateWristRelative",
                yaw=sign * min(_WRIST_STEP, left),
                returnToStart=True,
                speed=1,
            )
            return "collided" in error.lower()
        up, out = _ARM[action]
        # Joints are single-precision numbers in the simulator.
        position = {
            "x": 0.0,
            "y": float(np.float32(lift) + np.float32(up)),
            "z": float(np.float32(extension) + np.float32(out)) - _EXTENSION_OFFSET,
        }
        error = self._act("MoveArm", position=position, returnToStart=True, speed=1)
        return "collided" in error.lower()

    def _describe(self, report: ReportRow, is_blocked: bool) -> None:
        """Fill a report from the metadata of the last action and what the cameras see."""
        metadata = self._controller.last_event.metadata
        position, heading = metadata["agent"]["position"], metadata["agent"]["rotation"]["y"]
        arm = metadata["arm"]
        lift, extension, wrist = _arm_state(arm)
        unwrapped = wrist - 360.0 if wrist > _WRIST_STOPS[1] else wrist
        hand = arm["handSphereCenter"]
        held = arm["heldObjects"]
        before, self._held = self._held, self._house.index.get(held[0], -1) if held else -1
        seen = (*self._seen(), self._bits(arm["pickupableObjects"]))
        report.write(
            (position["x"], position["z"], heading),
            (lift, extension, unwrapped),
            (hand["x"], hand["y"], hand["z"]),
            self._held,
            self._find_moved(report) if self._held != before else -1,
            seen,
            is_blocked,
        )

    def _seen(self) -> tuple[int, int]:
        if not self._targets:
            return 0, 0
        seen = self._bits(self._visible())
        return seen, self._bits(self._visible(thirdPartyCameraIndex=0)) if self._has_second else 0

    def _visible(self, **camera: Any) -> list[str]:
        event = self._controller.step(
            "GetVisibleObjects", maxDistance=self._view_distance, **camera
        )
        return event.metadata["actionReturn"] or []

    def _bits(self, names: list[str]) -> int:
        bits = 0
        for name in names:
            k = self._target_of.get(name)
            if k is not None:
                bits |= 1 << k
        return bits

    def _find_moved(self, report: ReportRow) -> int:
        """After a grasp or a release: every light object that is not where its house has it.

        Written into the report; returns how many.
        """
        house = self._house
        light = [house.object_ids[i] for i in house.pickupable if i != self._held]
        event = self._controller.step("GetObjectMetadata", objectIds=light)
        count = 0
        for item in event.metadata["actionReturn"] or []:
            index = house.index[item["objectId"]]
            center = item["axisAlignedBoundingBox"]["center"]
            at = (center["x"], center["y"], center["z"])
            if max(abs(a - b) for a, b in zip(at, house.centers[index])) < _AT_HOME:
                continue
            if count == MAX_MOVED:
                break
            report.moved[count] = (index, at, item["rotation"]["y"])
            count += 1
        return count

    def _write_frames(self, out: NDArray[Any]) -> None:
        """Copy the newest images into [C, H, W, 3], cropped."""
        event = self._frame_event
        crop = slice(self._crop, -self._crop or None)
        np.copyto(out[0], event.frame[:, crop])
        if self._num_cameras > 1:
            np.copyto(out[1], event.third_party_camera_frames[0][:, crop, :3])


def _arm_state(arm: dict[str, Any]) -> tuple[float, float, float]:
    """Lift m, extension m, wrist yaw degrees in (-180, 180]."""
    joints = arm["joints"]
    turn = joints[-1]["rootRelativeRotation"]
    wrist = (turn["w"] * turn["y"] + 180.0) % 360.0 - 180.0
    return (
        joints[0]["rootRelativePosition"]["y"] - _LIFT_JOINT_HEIGHT,
        joints[-1]["rootRelativePosition"]["z"] + _EXTENSION_OFFSET,
        180.0 if wrist == -180.0 else wrist,
    )
