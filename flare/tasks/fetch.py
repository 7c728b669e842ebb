"""Fetch: find the object, anywhere in the house, take it, then say done."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from flare.tasks.hold import PICKUP_TYPES, HoldTask
from flare.tasks.instructions import (
    GO_TO_VERBS,
    PICK_UP_VERBS,
    go_to,
    pick_up,
    words_of_type,
)
from flare.tasks.scene import Goal


@dataclass(frozen=True, kw_only=True, slots=True)
class Fetch(HoldTask):
    """'find a mug and pick up that mug', from anywhere."""

    name: ClassVar[str] = "Fetch"
    max_words: ClassVar[int] = 12

    def sentence(self, goal: Goal, draw: int) -> str:
        """'find a mug and pick up that mug'."""
        noun = words_of_type(goal.label)
        taking = pick_up(f"that {noun}", draw // len(GO_TO_VERBS))
        return f"{go_to(goal.words, draw)} and {taking}"

    def vocabulary(self, types: tuple[str, ...]) -> Iterable[str]:
        """Both pools of verbs and the names of what can be picked up."""
        nouns = (words_of_type(name) for name in PICKUP_TYPES)
        return (*GO_TO_VERBS, *PICK_UP_VERBS, "a an and that", *nouns)
