"""ObjNavRoom: ObjectNav for an object in a certain room."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from flare.tasks.instructions import with_article, words_of_type
from flare.tasks.object_nav import ObjectNav
from flare.tasks.room_nav import ROOM_TYPES
from flare.tasks.scene import MAX_TARGETS, Goal, Scene, indices


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjNavRoom(ObjectNav):
    """'find a vase in the kitchen': instances of the type in the one room of that kind."""

    name: ClassVar[str] = "ObjNavRoom"
    max_words: ClassVar[int] = 12

    def goals(self, scene: Scene, types: tuple[str, ...]) -> list[Goal]:
        """Every type in every room that is the only one of its kind."""
        goals = []
        for room, room_type in scene.single_rooms().items():
            place = words_of_type(room_type)
            for name, items in scene.by_type(types).items():
                inside = [item for item in items if item.room == room]
                if 1 <= len(inside) <= MAX_TARGETS:
                    words = f"{with_article(words_of_type(name))} in the {place}"
                    details = (("room_type", room_type),)
                    goals.append(
                        Goal(label=name, words=words, targets=indices(inside), details=details)
                    )
        return goals

    def vocabulary(self, types: tuple[str, ...]) -> Iterable[str]:
        """ObjectNav's, and types of room."""
        rooms = (words_of_type(name) for name in ROOM_TYPES)
        return (*ObjectNav.vocabulary(self, types), "in the", *rooms)
