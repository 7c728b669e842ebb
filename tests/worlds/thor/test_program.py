"""flare-thor through AI2-THOR's own client: what the original sends and reads of it."""

import json
import math
import os
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.worlds.thor.places import PROGRAM, furnished

controller_module = pytest.importorskip("ai2thor.controller")

pytestmark = [
    # The client leaves its log open.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

HOUSE = json.loads(furnished())
SETTINGS: dict[str, Any] = {
    "width": 396, "height": 224, "fieldOfView": 59, "agentMode": "stretch", "gridSize": 0.15,
    "visibilityDistance": 0.8673349051766235, "visibilityScheme": "Distance",
    "useMassThreshold": True, "massThreshold": 10, "autoSimulation": False,
    "autoSyncTransforms": True, "renderInstanceSegmentation": True, "renderDepthImage": True,
    "cameraNearPlane": 0.01, "snapToGrid": False, "fastActionEmit": True,
    "render_mani_camera": True, "use_quick_navi_action": True, "x_display": ":0",
}  # fmt: skip


@pytest.fixture(scope="module")
def controller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    home = os.environ.get("HOME")
    os.environ["HOME"] = str(tmp_path_factory.mktemp("home"))
    made = controller_module.Controller(
        local_executable_path=str(PROGRAM), scene=HOUSE, server_timeout=30, **SETTINGS
    )
    yield made
    made.stop()
    if home is not None:
        os.environ["HOME"] = home


@pytest.fixture
def fresh(controller: Any) -> Any:
    """The controller in its house as at the start."""
    controller.reset(HOUSE)
    return controller


def teleport(controller: Any, x: float, z: float, yaw: float) -> Any:
    position, rotation = {"x": x, "y": 0.95, "z": z}, {"x": 0, "y": yaw, "z": 0}
    return controller.step("TeleportFull", position=position, rotation=rotation)


def test_start_up_and_first_metadata(fresh):
    metadata = fresh.last_event.metadata
    assert metadata["lastAction"] == "CreateHouse" and metadata["lastActionSuccess"]
    assert metadata["errorMessage"] == "" and metadata["errorCode"] is None
    assert (metadata["screenWidth"], metadata["screenHeight"]) == (396, 224)
    assert metadata["agent"]["position"]["y"] == pytest.approx(0.9009982)
    assert abs(metadata["thirdPartyCameras"][0]["fieldOfView"] - 59) < 2
    ids = {item["objectId"] for item in metadata["objects"]}
    assert ids == {"Sofa|2|0", "ArmChair|3|0", "Apple|2|1"}
    assert metadata["sceneBounds"]["size"] == pytest.approx({"x": 8, "y": 2.5, "z": 4})
    assert fresh.scenes_in_build == {"Procedural"}
    assert [j["name"] for j in metadata["arm"]["joints"]][::7] == [
        "stretch_robot_lift_jnt", "stretch_robot_wrist_2_jnt",
    ]  # fmt: skip
    assert json.dumps(metadata)  # nothing that JSON cannot hold


def test_frames_are_what_the_client_decodes(fresh):
    event = fresh.step("Pass")
    assert event.frame.shape == (224, 396, 3) and event.frame.std() > 5
    assert len(event.third_party_camera_frames) == 1
    assert event.depth_frame.shape == (224, 396) and event.depth_frame.dtype == np.float32
    # Rows come bottom first: what is below in the picture is nearer on the floor.
    assert event.depth_frame[-1].mean() < event.depth_frame[60].mean()
    assert event.instance_segmentation_frame.shape == (224, 396, 3)
    assert set(event.instance_masks) <= {"Sofa|2|0", "ArmChair|3|0", "Apple|2|1"}
    assert fresh.step("Pass", renderImageSynthesis=False).instance_segmentation_frame is None
    assert fresh.step("Pass", renderImage=False).frame is None


def test_moves_turns_and_collisions(fresh):
    before = teleport(fresh, 2.0, 1.5, 90).metadata["agent"]["position"]
    event = fresh.step("MoveAheadQuick", moveMagnitude=0.2)
    assert event.metadata["agent"]["position"]["x"] - before["x"] == pytest.approx(0.2, abs=1e-6)
    event = fresh.step("RotateRightQuick", degrees=-30)
    assert event.metadata["agent"]["rotation"]["y"] == pytest.approx(60)
    fresh.step("MoveAgent", ahead=-0.2, returnToStart=False, speed=1)
    fresh.step("RotateAgent", degrees=30, returnToStart=False, speed=1)
    assert fresh.last_event.metadata["agent"]["rotation"]["y"] == pytest.approx(90)
    teleport(fresh, 0.2, 1.5, 270)
    event = fresh.step("MoveAheadQuick", moveMagnitude=0.2)
    assert not event.metadata["lastActionSuccess"]
    assert "collided" in event.metadata["errorMessage"].lower()
    assert event.metadata["agent"]["position"]["x"] == pytest.approx(0.2)


def test_a_blocked_teleport_changes_nothing(fresh):
    here = teleport(fresh, 2.0, 1.5, 90).metadata["agent"]["position"]
    event = teleport(fresh, 2.0, 3.4, 0)  # inside the sofa
    assert not event.metadata["lastActionSuccess"]
    assert event.metadata["agent"]["position"] == here
    position = {"x": 2.0, "y": 2.0, "z": 1.5}
    assert not fresh.step("Teleport", position=position).metadata["lastActionSuccess"]
    event = fresh.step("Teleport", position={"x": 2.0, "y": 0.95, "z": 3.4}, forceAction=True)
    assert event.metadata["lastActionSuccess"]


def arm_of(event: Any) -> tuple[float, float, float]:
    """What the original reads as the arm's state."""
    joints = event.metadata["arm"]["joints"]
    turn = joints[-1]["rootRelativeRotation"]
    return (
        joints[0]["rootRelativePosition"]["y"] - 0.16297650337219238,
        joints[-1]["rootRelativePosition"]["z"],
        math.fmod(turn["w"] * turn["y"], 360),
    )


def test_arm_and_wrist(fresh):
    event = teleport(fresh, 2.0, 1.0, 90)
    lift, z, wrist = arm_of(event)
    assert (lift, z, wrist) == pytest.approx((0.1, 0.0, 0.0), abs=1e-3)
    assert abs(event.metadata["arm"]["joints"][-1]["rootRelativePosition"]["x"]) < 1e-3
    position = {"x": 0.0, "y": lift + 0.1, "z": z}
    event = fresh.step("MoveArm", position=position, returnToStart=True, speed=1)
    assert arm_of(event)[0] == pytest.approx(0.2, abs=1e-6)
    position = {"x": 0.0, "y": 5.0, "z": z}
    assert arm_of(fresh.step("MoveArm", position=position))[0] == pytest.approx(1.0457)
    for expected in (-10, -20):
        event = fresh.step("RotateWristRelative", yaw=-10, returnToStart=True, speed=1)
        assert arm_of(event)[2] == pytest.approx(expected)


def test_pick_up_carry_and_release(fresh):
    """The robot stands in front of the apple with the arm to its right, and reaches down."""
    teleport(fresh, 2.1 + 0.0239, 1.5, 90)
    _, z, _ = arm_of(fresh.last_event)
    assert not fresh.step("PickupObject").metadata["lastActionSuccess"]
    fresh.step("MoveArm", position={"x": 0, "y": -0.05, "z": z})
    event = fresh.last_event
    for _ in range(40):
        if event.metadata["arm"]["pickupableObjects"]:
            break
        z += 0.02
        event = fresh.step("MoveArm", position={"x": 0, "y": -0.05, "z": z})
    assert event.metadata["arm"]["pickupableObjects"] == ["Apple|2|1"]
    event = fresh.step("PickupObject")
    assert event.metadata["arm"]["heldObjects"] == ["Apple|2|1"]
    fresh.step("MoveArm", position={"x": 0, "y": 0.5, "z": z})
    held = fresh.step("GetObjectMetadata", objectIds=["Apple|2|1"]).metadata["actionReturn"][0]
    assert held["isPickedUp"] and held["position"]["y"] > 0.4
    assert fresh.step("ReleaseObject").metadata["arm"]["heldObjects"] == []
    fresh.step("AdvancePhysicsStep", simSeconds=2)
    dropped = fresh.step("GetObjectMetadata", objectIds=["Apple|2|1"]).metadata["actionReturn"][0]
    assert dropped["axisAlignedBoundingBox"]["center"]["y"] < 0.1
    assert not fresh.step("ReleaseObject").metadata["lastActionSuccess"]


def test_filters_answer_with_patches(fresh):
    assert len(fresh.last_event.metadata["objects"]) == 3
    event = fresh.step("SetObjectFilter", objectIds=[])
    assert len(event.metadata["objects"]) == 3  # a patch: the old list until a full frame
    assert fresh.step("Pass").metadata["objects"] == []
    fresh.step("SetObjectFilter", objectIds=["Apple|2|1"])
    assert [o["objectId"] for o in fresh.step("Pass").metadata["objects"]] == ["Apple|2|1"]
    assert len(fresh.step("ResetObjectFilter").metadata["objects"]) == 3


def test_queries_of_objects(fresh):
    teleport(fresh, 2.0, 1.2, 0)  # faces the sofa
    ask = lambda name, **a: fresh.step(name, **a).metadata["actionReturn"]  # noqa: E731
    assert ask("GetVisibleObjects", maxDistance=4) == ["Sofa|2|0"]
    assert ask("GetVisibleObjects", maxDistance=0.5) == []
    teleport(fresh, 2.0, 1.2, 180)  # now only the arm's camera could, and it looks west
    assert ask("GetVisibleObjects", maxDistance=15) == []
    teleport(fresh, 2.0, 1.2, 270)  # it looks north
    assert ask("GetVisibleObjects", maxDistance=15, thirdPartyCameraIndex=0) == ["Sofa|2|0"]
    teleport(fresh, 2.0, 1.2, 0)
    mask = ask("GetApproxObjectMask", objectId="Sofa|2|0", divisions=7)
    assert 20 <= len(mask) <= 49 and all(0 <= p["x"] <= 1 and 0 <= p["y"] <= 1 for p in mask)
    assert ask("GetApproxObjectMask", objectId="ArmChair|3|0", divisions=7) == []
    assert 0.1 < ask("ProportionOfObjectVisible", objectId="Sofa|2|0") <= 1
    assert ask("ProportionOfObjectVisible", objectId="ArmChair|3|0") == 0
    full = ask("GetObjectMetadata", objectIds=["Apple|2|1"])[0]
    assert full["parentReceptacles"] is None and len(full) == 42
    assert len(full["axisAlignedBoundingBox"]["cornerPoints"]) == 8
    small = ask("GetMinimalObjectMetadata", objectIds=["Apple|2|1"])
    assert small == [{"name": "Apple|2|1", "objectId": "Apple|2|1", "objectType": "Apple",
                      "assetId": "Apple_1"}]  # fmt: skip
    assert ask("CheckWhatObjectsOn", objectIds=["Sofa|2|0"], belowDistance=0.05) == {"Sofa|2|0": []}
    nearest = ask("PointOnObjectsCollidersClosestToPoint", objectId="Sofa|2|0",
                  point={"x": 2.0, "y": 0.2, "z": 0.0})  # fmt: skip
    assert nearest[0]["z"] > 2.0
    assert ask("GetSpawnCoordinatesAboveReceptacle", objectId="Sofa|2|0", anywhere=True)


def test_queries_of_paths(fresh):
    ask = lambda name, **a: fresh.step(name, **a)  # noqa: E731
    teleport(fresh, 2.0, 1.5, 90)
    places = ask("GetReachablePositions", gridSize=0.15).metadata["actionReturn"]
    assert any(p["x"] > 5 for p in places) and any(p["x"] < 1.5 for p in places)
    here = {"x": 2.0, "y": 0.9, "z": 1.5}
    path = ask("GetShortestPath", objectId="ArmChair|3|0", position=here, navMeshId=3)
    corners = path.metadata["actionReturn"]["corners"]
    assert corners[0]["x"] == pytest.approx(2.0) and corners[-1]["x"] > 4.5
    wide = ask("GetShortestPath", objectId="ArmChair|3|0", position=here, navMeshId=0)
    assert not wide.metadata["lastActionSuccess"]  # no disc of 0.5 m fits the door of 1 m
    target = {"x": 6.0, "y": 0.9, "z": 2.0}
    to_point = ask("GetShortestPathToPoint", position=here, target=target, navMeshId=3)
    assert to_point.metadata["actionReturn"]["corners"][-1]["x"] == pytest.approx(6.0)


def test_cameras(fresh):
    before = fresh.step("Pass").frame.copy()
    for degrees, secondary in ((25.4, False), (33.2, True)):
        event = fresh.step("RotateCameraMount", degrees=degrees, secondary=secondary)
        assert event.metadata["lastActionSuccess"]
    assert not np.array_equal(fresh.last_event.frame, before)
    assert not fresh.step("RotateCameraMount", degrees=81).metadata["lastActionSuccess"]
    event = fresh.step("ChangeFOV", fieldOfView=58.5, camera="FirstPersonCharacter")
    assert event.metadata["fov"] == pytest.approx(58.5)
    event = fresh.step("ChangeFOV", fieldOfView=60.0, camera="SecondaryCamera")
    assert event.metadata["thirdPartyCameras"][0]["fieldOfView"] == pytest.approx(60.0)
    event = fresh.step("UpdateThirdPartyCamera", thirdPartyCameraId=0, fieldOfView=59)
    assert event.metadata["thirdPartyCameras"][0]["fieldOfView"] == pytest.approx(59)
    view = fresh.step("GetMapViewCameraProperties").metadata["actionReturn"]
    view["position"]["y"] += 1.1 * 8
    added = {k: view[k] for k in ("position", "rotation")}
    event = fresh.step("AddThirdPartyCamera", fieldOfView=50, farClippingPlane=50,
                       skyboxColor="white", **added)  # fmt: skip
    assert event.third_party_camera_frames[-1].shape == (224, 396, 3)
    for name, arguments in (
        ("VisualizeWaypoints", {"waypoints": []}),
        ("VisualizePath", {"positions": [], "pathWidth": 0.2}),
        ("HideVisualizedPath", {}),
    ):
        assert fresh.step(name, **arguments).metadata["lastActionSuccess"]
    fresh.step("DisableSecondaryCamera")
    assert len(fresh.step("Pass").third_party_camera_frames) == 1


def test_looks_and_the_rest_of_the_start_up(fresh):
    teleport(fresh, 2.0, 1.2, 0)
    before = fresh.step("Pass").frame.copy()
    fresh.step("SetRandomSeed", seed=7)
    event = fresh.step("RandomizeMaterials")
    assert event.metadata["actionReturn"]["useTrainMaterials"] is True
    drawn = event.frame.copy()
    assert not np.array_equal(drawn, before)
    assert np.array_equal(fresh.step("ResetMaterials").frame, before)
    fresh.step("SetRandomSeed", seed=7)
    assert np.array_equal(fresh.step("RandomizeMaterials").frame, drawn)
    assert fresh.step("SetGripperOpenness", openness=30).metadata["lastActionSuccess"]
    assert fresh.last_event.metadata["arm"]["gripperOpennessState"] == 4
    assert not fresh.step("SetGripperOpenness", openness=51).metadata["lastActionSuccess"]
    assert fresh.step("ToggleMagnetVisibility", visible=False).metadata["lastActionSuccess"]
    assert fresh.step("ChangeResolution", x=120, y=80).frame.shape == (80, 120, 3)
    assert fresh.step("ChangeResolution", x=396, y=224).frame.shape == (224, 396, 3)
    assert fresh.step("ChangeQuality", quality="Ultra").metadata["lastActionSuccess"]


def test_runtime_assets(fresh, tmp_path):
    ask = lambda name, **a: fresh.step(name, **a).metadata  # noqa: E731
    ids = ["Apple_1", "f" * 32]
    known = ask("AssetsInDatabase", assetIds=ids, updateProceduralLRUCache=True)["actionReturn"]
    assert known == {"Apple_1": True, "f" * 32: False}
    corners = [{"x": 0.0, "y": 0.0, "z": 0.0}] * 3
    part = {"vertices": corners, "triangles": [0, 1, 2]}
    texture = tmp_path / "albedo.jpg"
    texture.touch()
    paths = {f"{kind}TexturePath": str(texture) for kind in ("albedo", "normal", "emission")}
    annotations = {"objectType": "Undefined", "primaryProperty": "", "secondaryProperties": []}
    asset = {
        "name": "f" * 32, **part, **paths, "normals": corners, "uvs": [{"x": 0.0, "y": 0.0}] * 3,
        "visibilityPoints": corners, "colliders": [part], "annotations": annotations,
    }  # fmt: skip
    broken = {**asset, "triangles": [0, 1, 3]}
    refused = ask("CreateRuntimeAsset", asset=broken)
    assert not refused["lastActionSuccess"] and "triangles" in refused["errorMessage"]
    assert ask("CreateRuntimeAsset", asset=asset)["lastActionSuccess"]
    assert ask("AssetsInDatabase", assetIds=ids)["actionReturn"]["f" * 32] is True
    assert ask("DeleteLRUFromProceduralCache", assetLimit=0)["lastActionSuccess"]
    assert ask("AssetsInDatabase", assetIds=ids)["actionReturn"]["f" * 32] is False
    gone = {"id": "e" * 32, "dir": str(tmp_path), "extension": ".json", "annotations": {}}
    assert not ask("CreateRuntimeAsset", **gone)["lastActionSuccess"]


@pytest.mark.parametrize(
    ("action", "arguments", "code"),
    [
        ("FlyToTheMoon", {}, "InvalidAction"),
        ("MoveAheadQuick", {"speed": 1}, "InvalidArgument"),
        ("MoveAheadQuick", {"moveMagnitude": {"x": 1}}, "InvalidArgument"),
        ("RotateCameraMount", {}, "MissingArguments"),
    ],
)
def test_wrong_actions_fail_as_unitys_do(fresh, action, arguments, code):
    with pytest.raises(ValueError, match=action):
        fresh.step(action, **arguments)
    assert fresh.last_event.metadata["errorCode"] == code
    assert fresh.step("Pass").metadata["lastActionSuccess"]


def test_a_number_for_a_vector_fails_without_a_code(fresh):
    event = fresh.step("Teleport", position=3)
    assert not event.metadata["lastActionSuccess"] and event.metadata["errorCode"] is None


def test_a_bad_house_fails_and_the_process_lives(fresh):
    event = fresh.step("CreateHouse", house={"rooms": 3})
    assert not event.metadata["lastActionSuccess"] and "rooms" in event.metadata["errorMessage"]
    assert fresh.reset(HOUSE).metadata["lastActionSuccess"]


def test_large_values_come_back_whole(fresh):
    big = ["x" * 100_000] * 3
    event = fresh.step("TestActionReflectParam", rvalue=big)
    assert event.metadata["actionReturn"] == big
    assert fresh.step("TestFastEmit", rvalue="a").metadata["actionReturn"] == "a"


def test_it_ends_when_its_client_does(controller, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    other = controller_module.Controller(
        local_executable_path=str(PROGRAM), scene="Procedural", **SETTINGS
    )
    process = other.server.unity_proc
    other.server.client_pipe.close()  # the end of the file, no signal
    other.server.client_pipe = None
    assert process.wait(timeout=5) == 0


def test_the_command_line_tells_what_is_wrong():
    import subprocess

    for words, text in (
        (["--fault", "burn@Pass"], "there is no kind 'burn'"),
        (["--speed"], "there is no option --speed"),
        ([], "AI2THOR_FIFO_SERVER_PIPE_PATH is not set"),
    ):
        result = subprocess.run([PROGRAM, *words], capture_output=True, text=True, env={})
        assert result.returncode == 2 and text in result.stderr


def test_create_house_can_take_its_time(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    begin = time.monotonic()
    with controller_module.Controller(
        local_executable_path=f"{PROGRAM} --create-house-delay 0.5 --rgba", scene=HOUSE, **SETTINGS
    ) as slow:
        assert time.monotonic() - begin > 0.5
        assert slow.last_event.frame.shape == (224, 396, 3)
        assert slow.last_event.third_party_camera_frames[0].shape == (224, 396, 4)
