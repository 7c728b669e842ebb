"""Embodiment randomisation: many robots of one kind, drawn reproducibly from their ranges."""

from dataclasses import replace

from flare.errors import UserError
from flare.rng import keyed_uniform
from flare.robots.spec import BodySpec, CameraMount, CamerasSpec, Range, RobotSpec, VariationSpec

_HIGHEST_PITCH, _LEAST_FOV, _GREATEST_FOV = 89.0, 1.0, 150.0  # degrees, what CameraMount takes


def sample_robots(
    robot: RobotSpec, count: int, seed: int, *, ranges: VariationSpec | None = None
) -> tuple[RobotSpec, ...]:
    """Draw ``count`` robots like ``robot``; robot k is a function of (seed, k) alone.

    Body radii are drawn to the centimetre, so that many robots share the maps of one body.

    Args:
        robot: what is not drawn is as it has it.
        count: at least 1.
        seed: non-negative.
        ranges: by default the ``variation`` section of the robot's file.

    Returns:
        Robots named ``<name>-<k>``, to be given to ``EmbeddedWorlds(robots=...)``.

    Raises:
        UserError: no count, or no range to draw from.
    """
    chosen = robot.variation if ranges is None else ranges
    if count < 1:
        raise UserError(f"is {count}", key="count", mend="draw at least one robot")
    if chosen == VariationSpec():
        raise UserError(
            f"the robot {robot.name!r} has no ranges to draw from",
            key="variation",
            mend="add a variation section to its file, e.g. radius: [0.15, 0.20]",
        )
    return tuple(_sample(robot, chosen, seed, index) for index in range(count))


def _draw(range_: Range | None, default: float, seed: int, index: int, draw: int) -> float:
    if range_ is None:
        return default
    share = float(keyed_uniform(seed, index, 0, draw=draw))
    return range_[0] + share * (range_[1] - range_[0])


def _sample(robot: RobotSpec, ranges: VariationSpec, seed: int, index: int) -> RobotSpec:
    radius = _draw(ranges.radius, robot.body.radius, seed, index, 0)
    height = _draw(ranges.height, robot.body.height, seed, index, 1)
    raised = _draw(ranges.camera_height, 0.0, seed, index, 2)
    tilt = _draw(ranges.camera_pitch, 0.0, seed, index, 3)
    wider = _draw(ranges.fov, 0.0, seed, index, 4)
    body = replace(
        robot.body,
        radius=robot.body.radius if ranges.radius is None else round(radius, 2),
        height=robot.body.height if ranges.height is None else round(height, 2),
    )
    second = robot.cameras.manipulation
    cameras = CamerasSpec(
        navigation=_mounted(robot.cameras.navigation, body, raised, tilt, wider),
        manipulation=None if second is None else _mounted(second, body, raised, tilt, wider),
    )
    return replace(robot, name=f"{robot.name}-{index}", body=body, cameras=cameras)


def _mounted(
    camera: CameraMount, body: BodySpec, raised: float, tilt: float, wider: float
) -> CameraMount:
    x, y, z = camera.position
    lowest = 0.05 - body.reference_height  # 5 cm above the floor
    return replace(
        camera,
        position=(x, max(y + raised, lowest), z),
        pitch=min(max(camera.pitch + tilt, -_HIGHEST_PITCH), _HIGHEST_PITCH),
        fov=min(max(camera.fov + wider, _LEAST_FOV), _GREATEST_FOV),
    )
