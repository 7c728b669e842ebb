"""A plan on which a robot moves: drawn once for each house, the path and the robot on top of it."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw

from flare.houses.plan import plan_figure

_PATH, _ROBOT, _EDGE = (209, 73, 91), (209, 73, 91), (255, 255, 255)
_ROBOT_RADIUS = 0.22  # m, about Stretch's
_NOSE = 1.9  # length of the pointer, in radii


class LivePlan:
    """One house's plan at a fixed height; ``draw`` is quick enough for every step."""

    def __init__(
        self, house: dict[str, Any] | str, height: int, *, targets: Sequence[str] = ()
    ) -> None:
        """Draw the house.

        Args:
            house: the document or its JSON text.
            height: px of the picture; the width follows the house.
            targets: object ids to mark as searched for.

        Raises:
            UserError: as ``plan_figure``.
        """
        figure = plan_figure(house, targets=targets, show_start=False)
        figure.set_dpi(height / figure.get_size_inches()[1])
        canvas = FigureCanvasAgg(figure)
        canvas.draw()  # type: ignore[no-untyped-call]
        pixels = np.asarray(canvas.buffer_rgba())[..., :3]  # type: ignore[no-untyped-call]
        whole = Image.fromarray(np.ascontiguousarray(pixels))
        self._base = whole.crop((0, 0, whole.width, height))
        # The axes fill the figure and have equal scales, so two numbers a coordinate say it all.
        axes = figure.axes[0]
        origin, unit = axes.transData.transform([(0.0, 0.0), (1.0, 1.0)])
        self._scale = unit - origin  # px a metre
        self._origin = (float(origin[0]), pixels.shape[0] - float(origin[1]))

    def draw(self, path: ArrayLike, yaw_deg: float) -> NDArray[np.uint8]:
        """The plan with a robot at the end of its path.

        Args:
            path: [T, 2] x, z in metres, T >= 1.
            yaw_deg: the robot's heading, 0 along z, 90 along x.

        Returns:
            [height, width, 3] uint8.
        """
        image = self._base.copy()
        draw = ImageDraw.Draw(image)
        metres = np.asarray(path, np.float64)
        points = [
            (self._origin[0] + x * self._scale[0], self._origin[1] - z * self._scale[1])
            for x, z in metres
        ]
        if len(points) > 1:
            draw.line(points, fill=_PATH, width=2, joint="curve")
        self._draw_robot(draw, points[-1], math.radians(yaw_deg))
        return np.array(image)

    def _draw_robot(
        self, draw: ImageDraw.ImageDraw, place: tuple[float, float], yaw: float
    ) -> None:
        x, y = place
        radius = max(4.0, _ROBOT_RADIUS * float(self._scale[0]))
        ahead = np.array([math.sin(yaw), -math.cos(yaw)])
        side = np.array([-ahead[1], ahead[0]])
        center = np.array([x, y])
        tip = center + _NOSE * radius * ahead
        nose = [tip, center + 0.8 * radius * side, center - 0.8 * radius * side]
        draw.polygon([(float(p[0]), float(p[1])) for p in nose], fill=_ROBOT)
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), _ROBOT, outline=_EDGE)
