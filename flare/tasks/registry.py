"""Every task by name. A new task is one file and one line here."""

from flare.errors import UserError
from flare.tasks.fetch import Fetch
from flare.tasks.obj_nav_affordance import ObjNavAffordance
from flare.tasks.obj_nav_description import ObjNavDescription
from flare.tasks.obj_nav_local_ref import ObjNavLocalRef
from flare.tasks.obj_nav_rel_attribute import ObjNavRelAttribute
from flare.tasks.obj_nav_room import ObjNavRoom
from flare.tasks.object_nav import ObjectNav
from flare.tasks.pick_up import PickUp
from flare.tasks.room_nav import RoomNav
from flare.tasks.room_visit import RoomVisit
from flare.tasks.task import Task

# The order gives each task the tag that stands in facts and episode files: append, never insert.
_CLASSES: tuple[type[Task], ...] = (
    ObjectNav,
    PickUp,
    Fetch,
    RoomVisit,
    RoomNav,
    ObjNavRelAttribute,
    ObjNavAffordance,
    ObjNavRoom,
    ObjNavLocalRef,
    ObjNavDescription,
)
TASKS: dict[str, type[Task]] = {task.name: task for task in _CLASSES}
TASK_NAMES = tuple(TASKS)
TAGS = {name: tag for tag, name in enumerate(TASKS)}


def check_name(name: str, key: str) -> None:
    """Raise UserError unless a task has this name."""
    if name not in TASKS:
        raise UserError(
            f"{name!r} is no task", key=key, mend=f"choose among {', '.join(TASK_NAMES)}"
        )
