"""Task specs as the published data and benchmarks write them: read, made, and put into words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flare.data.layout import TASK_TYPES, TASKS_OF_TYPE
from flare.data.synsets import synset_of, words_of_synset
from flare.tasks.affordances import AFFORDANCES
from flare.tasks.instructions import GO_TO_VERBS, go_to, pick_up, with_article, words_of_type
from flare.tasks.registry import TASKS
from flare.tasks.scene import Goal, HouseView

Document = Mapping[str, Any]

_ROOM_VISIT = (
    "go to all {} rooms in the house. indicate when you have seen a new room and when you are done"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskSpec:
    """One episode that a file asks for."""

    task: str  # of the registry
    house: int  # line of the house file, from 0
    start: tuple[float, float, float]  # x m, z m, yaw degrees
    targets: tuple[str, ...]  # object ids, the intended ones first
    rooms: tuple[str, ...]  # room ids
    document: Document  # as it was read

    def sentence(self, draw: int) -> str:
        """Its own instruction, or one made of its keys with verbs chosen by ``draw``."""
        own = self.document.get("natural_language_spec")
        return own if isinstance(own, str) and own else sentence_of(self.document, draw)


def parse_task_spec(document: Document) -> TaskSpec:
    """One task spec.

    Args:
        document: keys of the published benchmark samples and JSON-lines files: ``task_type``,
            ``house_index`` (or ``house_line``), ``agent_starting_position``, ``agent_y_rotation``,
            and what the type asks for. Targets are ``broad_synset_to_object_ids`` of the first
            synset, else ``target_object_ids``, else ``target_object_id``.

    Raises:
        KeyError: a key is missing, or no task here has that type.
        ValueError, TypeError: a value is not what it should be.
    """
    kind = document["task_type"]
    if kind not in TASKS_OF_TYPE:
        raise KeyError(f"task_type {kind!r}")
    task = TASKS_OF_TYPE[kind]
    house = document["house_index"] if "house_index" in document else document["house_line"]
    x, _, z = (float(value) for value in document["agent_starting_position"])
    spec = TaskSpec(
        task=task,
        house=int(house),
        start=(x, z, float(document["agent_y_rotation"]) % 360.0),
        targets=_targets(document),
        rooms=_rooms(document) if task == "RoomNav" else (),
        document=document,
    )
    if not spec.targets and TASKS[task].goal_kind in ("see", "hold"):
        raise ValueError("names no target")
    spec.sentence(0)  # its keys are there
    return spec


def _targets(document: Document) -> tuple[str, ...]:
    """Ids of what would do: the narrow list first, then what the broad one adds."""
    found: dict[str, None] = {}
    for key in ("synset_to_object_ids", "broad_synset_to_object_ids"):
        synsets = document.get("synsets") or ()
        ids = (document.get(key) or {}).get(synsets[0], ()) if synsets else ()
        found |= dict.fromkeys(str(each) for each in ids)
    found |= dict.fromkeys(str(each) for each in document.get("target_object_ids") or ())
    if "target_object_id" in document:
        found[str(document["target_object_id"])] = None
    return tuple(found)


def _rooms(document: Document) -> tuple[str, ...]:
    return tuple(str(room) for room in document["room_ids"][document["room_types"][0]])


def template_of(task: str, goal: Goal, house: HouseView) -> dict[str, Any]:
    """The ``templated_task_spec`` of an episode of ours.

    Args:
        task: name in the registry.
        goal: of that task in this house.
        house: whose ids name targets and rooms.

    Returns: task_type, extras and the keys that the type asks for.
    """
    template: dict[str, Any] = {"task_type": TASK_TYPES[task], "extras": {}}
    if task == "RoomVisit":
        return template | {"num_rooms_in_house": len(goal.rooms)}
    if task == "RoomNav":
        ids = [str(house.rooms()[room]["id"]) for room in goal.rooms]
        return template | {"room_types": [goal.label], "room_ids": {goal.label: ids}}
    objects = house.objects()
    by_synset: dict[str, list[str]] = {}
    for target in goal.targets:
        name = synset_of(str(objects[target]["type"]))
        by_synset.setdefault(name, []).append(str(objects[target]["id"]))
    # Success counts the first synset's broad list, so it holds every target, of whatever type.
    first = next(iter(by_synset))
    ids = [str(objects[target]["id"]) for target in goal.targets]
    template |= {
        "synsets": [first],
        "synset_to_object_ids": {first: by_synset[first]},
        "broad_synset_to_object_ids": {first: ids},
    }
    return template | _detail_keys(goal)


def _detail_keys(goal: Goal) -> dict[str, Any]:
    details: dict[str, Any] = dict(goal.details)
    if "reference_synsets" in details:
        details["reference_synsets"] = [synset_of(name) for name in details["reference_synsets"]]
    if isinstance(details.get("rel_attribute"), tuple):
        relation, landmark = details["rel_attribute"]
        details["rel_attribute"] = [relation, synset_of(landmark)]
    return details


def sentence_of(document: Document, draw: int) -> str:
    """The instruction of a templated task spec in the original's patterns.

    Args:
        document: a task spec with the keys of its type.
        draw: any integer >= 0; chooses the verbs.

    Raises:
        KeyError, ValueError, TypeError: as parse_task_spec.
    """
    kind = document["task_type"]
    task = TASKS_OF_TYPE[kind]
    if task == "RoomVisit":
        return _ROOM_VISIT.format(document["num_rooms_in_house"])
    if task == "RoomNav":
        return go_to(with_article(words_of_type(str(document["room_types"][0]))), draw)
    noun = words_of_synset(str(document["synsets"][0]))
    if task == "PickUp":
        return pick_up(with_article(noun), draw)
    if task == "Fetch":
        taking = pick_up(f"that {noun}", draw // len(GO_TO_VERBS))
        return f"{go_to(with_article(noun), draw)} and {taking}"
    return go_to(_described(task, noun, document), draw)


def _described(task: str, noun: str, document: Document) -> str:
    """The goal of the ObjectNav family in words."""
    if task == "ObjNavRoom":
        return f"{with_article(noun)} in the {words_of_type(str(document['room_type']))}"
    if task == "ObjNavRelAttribute":
        return _related(noun, document["rel_attribute"], str(document["room_type"]))
    if task == "ObjNavAffordance":
        purpose = str(document["affordance"])
        kinds = {affordance.purpose: affordance.noun for affordance in AFFORDANCES}
        return f"{with_article(kinds.get(purpose, noun))} that can best be used for {purpose}"
    if task == "ObjNavLocalRef":
        landmarks = [with_article(words_of_synset(each)) for each in document["reference_synsets"]]
        return f"{with_article(noun)} {document['reference_type']} {' and '.join(landmarks)}"
    if task == "ObjNavDescription" and "description" in document:
        return str(document["description"])
    return with_article(noun)


def _related(noun: str, relation: str | Sequence[str], room_type: str) -> str:
    place = words_of_type(room_type)
    if isinstance(relation, str):
        return f"the {relation} {noun} in the {place}"
    adjective, landmark = relation
    words = adjective.replace("_", " ")
    if " " not in words:  # the superlative alone
        words = f"{words} {'from' if words.startswith(('fur', 'far')) else 'to'}"
    return f"the {noun} {words} the {words_of_synset(landmark)} in the {place}"
