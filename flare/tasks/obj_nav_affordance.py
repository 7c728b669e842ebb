"""ObjNavAffordance: ObjectNav for anything that serves a purpose."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from flare.tasks.affordances import AFFORDANCES, Affordance
from flare.tasks.instructions import GO_TO_VERBS, with_article
from flare.tasks.object_nav import ObjectNav
from flare.tasks.scene import MAX_TARGETS, Goal, Scene, indices


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjNavAffordance(ObjectNav):
    """'find a seat that can best be used for sitting on': any instance of any type that serves."""

    name: ClassVar[str] = "ObjNavAffordance"
    max_words: ClassVar[int] = 16

    def goals(self, scene: Scene, types: tuple[str, ...]) -> list[Goal]:
        """Every purpose that something in the house serves and a wanted type is good for."""
        goals = []
        for affordance in AFFORDANCES:
            if types and not set(types) & set(affordance.types):
                continue
            items = [item for item in scene.objects if item.type in affordance.types]
            if 1 <= len(items) <= MAX_TARGETS:
                goals.append(
                    Goal(
                        label=affordance.purpose,
                        words=_words(affordance),
                        targets=indices(items),
                        details=(("affordance", affordance.purpose),),
                    )
                )
        return goals

    def vocabulary(self, types: tuple[str, ...]) -> Iterable[str]:
        """Verbs and the whole table."""
        return (*GO_TO_VERBS, *map(_words, AFFORDANCES))


def _words(affordance: Affordance) -> str:
    noun = with_article(affordance.noun)
    return f"{noun} that can best be used for {affordance.purpose}"
