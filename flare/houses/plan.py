"""A house seen from above: rooms, walls, doors, windows, furniture and what a robot did in it."""

import json
import os
from collections.abc import Sequence
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from flare.atomic import atomic_path
from flare.errors import UserError
from flare.houses import plan_layers
from flare.houses.bodies import bodies_of
from flare.houses.plan_layers import INK, Pose, floor_corners

_INCHES_PER_METRE = 0.75
_SMALLEST, _LARGEST = 5.0, 11.0  # inches of the longer side
_MARGIN = 0.3  # m round the house
_SCALE_BAR = 0.55  # m below the house
_TITLE_INCHES = 0.38


def draw_plan(
    house: dict[str, Any] | str,
    path_png: str | os.PathLike[str],
    trajectory: Sequence[Pose] | None = None,
    *,
    targets: Sequence[str] = (),
    title: str | None = None,
    dpi: int = 160,
) -> None:
    """Draw a house into a PNG file; arguments and errors as for ``plan_figure``."""
    figure = plan_figure(house, trajectory, targets=targets, title=title)
    with atomic_path(path_png) as temporary:
        figure.savefig(temporary, format="png", dpi=dpi, metadata={"Software": None})


def plan_figure(
    house: dict[str, Any] | str,
    trajectory: Sequence[Pose] | None = None,
    *,
    targets: Sequence[str] = (),
    title: str | None = None,
    show_start: bool = True,
) -> Figure:
    """Draw a house as a matplotlib figure.

    Args:
        house: the document or its JSON text.
        trajectory: poses (x, z, yaw in degrees) of an episode, drawn as a line from light to dark;
            without one the house's own start is shown.
        targets: object ids to mark as searched for.
        title: a line above the plan.
        show_start: whether the house's own start is shown where there is no trajectory.

    Raises: UserError if the text is not JSON or the document has no rooms.
    """
    document = _document(house)
    bodies = bodies_of(document)
    corners = [p for room in document["rooms"] for p in floor_corners(room)]
    x0, x1 = min(x for x, _ in corners) - _MARGIN, max(x for x, _ in corners) + _MARGIN
    z0, z1 = min(z for _, z in corners) - _SCALE_BAR - _MARGIN, max(z for _, z in corners) + _MARGIN
    longer = max(x1 - x0, z1 - z0)
    scale = min(max(_INCHES_PER_METRE * longer, _SMALLEST), _LARGEST) / longer  # inches a metre
    height = (z1 - z0) * scale + (_TITLE_INCHES if title else 0.0)
    figure = Figure(figsize=((x1 - x0) * scale, height), facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.0, 0.0, 1.0, (z1 - z0) * scale / height))
    axes.set(xlim=(x0, x1), ylim=(z0, z1))
    axes.set_aspect("equal")
    axes.set_axis_off()
    if title:
        middle = 1.0 - 0.6 * _TITLE_INCHES / height
        figure.text(
            0.5, middle, title, ha="center", va="center", color=INK, fontsize=10, fontweight="bold"
        )
    plan_layers.draw_rooms(axes, document)
    plan_layers.draw_bodies(axes, bodies, points_per_metre=scale * 72.0)
    plan_layers.draw_walls(axes, document)
    plan_layers.draw_openings(axes, document)
    plan_layers.draw_room_names(axes, document, bodies)
    if trajectory is not None and len(trajectory) > 0:
        plan_layers.draw_trajectory(axes, trajectory)
    elif show_start:
        plan_layers.draw_start(axes, document)
    wanted = set(targets)
    plan_layers.draw_targets(axes, [body for body in bodies if body.id in wanted])
    plan_layers.draw_scale(axes, x0 + _MARGIN, z0 + _MARGIN)
    return figure


def _document(house: dict[str, Any] | str) -> dict[str, Any]:
    if isinstance(house, str):
        try:
            house = json.loads(house)
        except json.JSONDecodeError as error:
            raise UserError(
                f"the house is not JSON: {error.msg}", mend="give the text of one house document"
            ) from error
    if not isinstance(house, dict) or not house.get("rooms"):
        raise UserError("the document has no rooms", mend="give a ProcTHOR house document")
    return house
