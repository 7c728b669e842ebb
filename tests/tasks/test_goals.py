"""Goals of every task: hand-made rooms, then real and generated houses against plain rereadings."""

import json

import numpy as np
import pytest

from flare.assembly import TaskConfig, load_house_file, make_sampler
from flare.assets import object_types
from flare.houses.generator import GeneratorConfig, generate_house
from flare.tasks.affordances import AFFORDANCES
from flare.tasks.hold import PICKUP_TYPES
from flare.tasks.instructions import UNKNOWN, split_words, words_of_type
from flare.tasks.obj_nav_description import color_word
from flare.tasks.registry import TASK_NAMES, TASKS
from flare.tasks.scene import Scene, floor_gaps
from flare.worlds.embedded import EPISODE_DTYPE, EmbeddedWorlds, load_house
from tests.tasks.test_sampler import LineHouse, item


class Room(LineHouse):
    """A house of hand-placed objects."""

    def __init__(self, *items, rooms=("Kitchen", "Bedroom")):
        super().__init__([], rooms=rooms)
        self._items = list(items)

    def objects(self):
        return self._items


def goals(task, *items, types=(), **options):
    return TASKS[task]().goals(Scene(Room(*items, **options)), types)


def sentences(task, *items, **options):
    """Words of the goals to their targets."""
    return {goal.words: goal.targets for goal in goals(task, *items, **options)}


def test_object_nav_leaves_out_what_is_everywhere():
    items = [item("Book")] * 17 + [item("Bed")]
    assert sentences("ObjectNav", *items) == {"a bed": (17,)}


def test_hold_tasks_take_what_can_be_picked_up_of_the_eight_types():
    items = [item("Apple"), item("Apple", pickupable=False), item("Bed"), item("Mug")]
    for task in ("PickUp", "Fetch"):
        assert sentences(task, *items) == {"an apple": (0,), "a mug": (3,)}
        assert sentences(task, *items, types=("Mug", "Bed")) == {"a mug": (3,)}
        assert sentences(task, *items, types=("Bed",)) == {}


def test_rooms_to_walk_to_and_to_visit():
    found = goals("RoomNav", rooms=("Kitchen", "Bedroom", "Bedroom"))
    assert {goal.words: goal.rooms for goal in found} == {"a bedroom": (1, 2), "a kitchen": (0,)}
    assert goals("RoomNav", rooms=("Bedroom", "Bedroom")) == []  # nowhere else to start
    assert goals("RoomVisit", rooms=("Kitchen",)) == []
    assert goals("RoomVisit", rooms=("Kitchen", "Bedroom"))[0].rooms == (0, 1)


def test_the_room_of_obj_nav_room_is_the_only_one_of_its_kind():
    items = [item("Mug", room=0), item("Mug", room=1), item("Mug", room=2), item("Mug", room=0)]
    rooms = ("Kitchen", "Bedroom", "Bedroom")
    assert sentences("ObjNavRoom", *items, rooms=rooms) == {"a mug in the kitchen": (0, 3)}


def test_relations_single_out_one_instance_clearly():
    items = [
        item("Bed", center=(0.0, 0.3, 0.0)),
        item("Mug", center=(1.0, 0.3, 0.0), size=(0.1, 0.1, 0.1)),
        item("Mug", center=(2.0, 0.3, 0.0)),
        item("Mug", center=(2.1, 0.3, 0.0)),
    ]
    assert sentences("ObjNavRelAttribute", *items) == {
        "the smallest mug in the kitchen": (1,),
        "the mug closest to the bed in the kitchen": (1,),  # the furthest is too close a race
    }
    other = [*items, item("Bed", center=(9.0, 0.3, 0.0))]  # which bed?
    assert list(sentences("ObjNavRelAttribute", *other)) != []
    assert not any("to the bed" in words for words in sentences("ObjNavRelAttribute", *other))


def test_near_is_a_metre_from_edge_to_edge_in_the_same_room():
    items = [
        item("Mug", center=(0.0, 0.5, 0.0)),
        item("Mug", center=(9.0, 0.5, 0.0)),
        item("Bed", center=(1.5, 0.5, 0.0), size=(1.0, 0.5, 2.0)),
        item("Sofa", center=(0.0, 0.5, -1.0)),
        item("Vase", center=(0.0, 0.5, 0.5), room=1),
        item("Book", center=(0.0, 0.5, 1.3)),  # 1.1 m from edge to edge
    ]
    found = sentences("ObjNavLocalRef", *items, types=("Mug",))
    assert found == {"a mug near a bed and a sofa": (0,)}


def test_on_is_what_the_house_says_it_stands_on():
    items = [item("Desk"), item("Mug", parent=0), item("Mug"), item("Apple", parent=0)]
    found = sentences("ObjNavLocalRef", *items)
    assert found["a mug on a desk"] == (1,)
    assert found["an apple on a desk"] == (3,)


def test_a_turned_box_reaches_as_far_as_its_corners():
    objects = Scene(
        Room(item("Bed", size=(4.0, 1.0, 1.0), yaw_deg=90.0), item("Mug", center=(20.0, 0.5, 3.0)))
    ).objects
    assert floor_gaps(objects)[0, 1] == pytest.approx(3.0 - 2.0 - 0.1)


def test_descriptions_fit_one_object_only():
    red, blue = (0.9, 0.05, 0.05), (0.1, 0.1, 0.9)
    items = [
        item("Mug", color=red),
        item("Mug", color=red, size=(0.1, 0.1, 0.1)),
        item("Mug", color=blue),
    ]
    # "the red mug" would fit two, though only one of them is small.
    assert sentences("ObjNavDescription", *items) == {
        "the small red mug": (1,),
        "the blue mug": (2,),
    }


@pytest.mark.parametrize(
    ("color", "word"),
    [((0.9, 0.05, 0.05), "red"), ((0.05, 0.05, 0.06), "black"), ((0.97, 0.97, 0.99), "white"),
     ((0.5, 0.5, 0.5), "gray"), ((0.45, 0.3, 0.2), "brown"), ((1.0, 0.5, 0.05), "orange"),
     ((0.98, 0.88, 0.1), "yellow"), ((0.12, 0.62, 0.16), "green"), ((0.1, 0.35, 1.0), "blue"),
     ((0.45, 0.1, 0.95), "purple"), ((0.95, 0.15, 0.75), "pink"), ((0.1, 0.85, 0.85), "turquoise")],
)  # fmt: skip
def test_colours_have_everyday_names(color, word):
    assert color_word(color) == word


def test_the_affordance_table_speaks_of_known_types_once():
    assert len({affordance.purpose for affordance in AFFORDANCES}) == len(AFFORDANCES)
    for affordance in AFFORDANCES:
        assert set(affordance.types) <= object_types(), affordance.purpose
        assert len(set(affordance.types)) == len(affordance.types) > 0


def test_affordances_take_every_type_that_serves():
    items = [item("Chair"), item("Sofa"), item("Mug")]
    found = sentences("ObjNavAffordance", *items)
    assert found["a seat that can best be used for sitting on"] == (0, 1)
    assert list(sentences("ObjNavAffordance", *items, types=("Mug",)).values()) == [(2,)]


# Real and generated houses: what a sentence says, read again from the house in plain steps.


@pytest.fixture(scope="module", params=["generated", "objaverse", "thor"])
def houses(request):
    if request.param == "generated":
        documents = [generate_house(0, "train", i, GeneratorConfig()) for i in range(6)]
        return [load_house(json.dumps(d), f"house {i}") for i, d in enumerate(documents)]
    folder = request.getfixturevalue("shared_dir") / "houses"
    name = {"objaverse": "objaverse_train", "thor": "thor_hard_val"}[request.param]
    return load_house_file(folder / f"{name}.jsonl.gz", limit=8)


def room_named(house, words):
    """The one room of the type that ends the sentence."""
    types = [words_of_type(room["type"]) for room in house.rooms()]
    found = [i for i, name in enumerate(types) if words.endswith(f" in the {name}")]
    assert len(found) == 1, words
    return found[0]


def of_type(house, noun, room=None):
    return [
        (i, thing)
        for i, thing in enumerate(house.objects())
        if words_of_type(thing["type"]) == noun and room in (None, thing["room"])
    ]


def gap(a, b):
    """m between centres."""
    return float(np.linalg.norm(np.array(a["center"]) - b["center"]))


def check_relation(house, words, target):
    room = room_named(house, words)
    noun = words_of_type(house.objects()[target]["type"])
    candidates = of_type(house, noun, room)
    if " the smallest " in words:
        volumes = {i: float(np.prod(thing["size"])) for i, thing in candidates}
        assert min(volumes, key=volumes.get) == target
        return
    far = " furthest from the " in words
    middle = " furthest from the " if far else " closest to the "
    landmark = words.split(middle)[1].rsplit(" in the ", 1)[0]
    [(_, there)] = of_type(house, landmark, room)
    distances = {i: gap(thing, there) for i, thing in candidates}
    assert (max if far else min)(distances, key=distances.get) == target


def check_sentence(name, house, words, targets, label):
    """The targets are all that the words allow, and one where they say "the"."""
    things = house.objects()
    if name in ("ObjectNav", "PickUp", "Fetch"):
        assert targets == [i for i, _ in of_type(house, words_of_type(label))]
    if name in ("PickUp", "Fetch"):
        assert label in PICKUP_TYPES and all(things[t]["pickupable"] for t in targets)
    if name == "ObjNavRoom":
        room = room_named(house, words)
        assert targets == [i for i, _ in of_type(house, words_of_type(label), room)]
    if name == "ObjNavRelAttribute":
        assert len(targets) == 1
        check_relation(house, words, targets[0])
    if name == "ObjNavAffordance":
        [affordance] = [a for a in AFFORDANCES if words.endswith(f" for {a.purpose}")]
        assert {things[t]["type"] for t in targets} <= set(affordance.types)
        assert len(targets) == sum(thing["type"] in affordance.types for thing in things)
    if name == "ObjNavLocalRef":
        fits = reference(things, words)
        of_kind = [i for i, _ in of_type(house, words_of_type(label))]
        assert targets == [i for i in of_kind if fits(things[i])]
    if name == "ObjNavDescription":
        *looks, color = words.split(" the ")[1].removesuffix(words_of_type(label)).split()
        same = of_type(house, words_of_type(label))
        usual = np.median([np.prod(thing["size"]) for _, thing in same])

        def fits(thing):
            share = np.prod(thing["size"]) / usual
            size = {"small": share < 0.6, "large": share > 1.6}
            return color_word(thing["color"]) == color and all(size[look] for look in looks)

        assert targets == [i for i, thing in same if fits(thing)]
        assert len(targets) == 1


def reference(things, words):
    """What "near a A and a B" or "on a A" asks of an object."""

    def without_article(noun):
        return noun.split(" ", 1)[1]

    if " on a" in words:
        below = without_article("a" + words.rsplit(" on a", 1)[1])
        return lambda thing: (
            thing["parent"] >= 0 and words_of_type(things[thing["parent"]]["type"]) == below
        )
    nouns = [without_article(noun) for noun in words.split(" near ")[1].split(" and ")]

    def half(thing, axis):
        turn = np.deg2rad(thing["yaw_deg"])
        along, across = thing["size"][axis], thing["size"][2 - axis]
        return (abs(np.cos(turn)) * along + abs(np.sin(turn)) * across) / 2

    def gap_between(a, b):
        apart = [
            max(0.0, abs(a["center"][k] - b["center"][k]) - half(a, k) - half(b, k)) for k in (0, 2)
        ]
        return float(np.hypot(*apart))

    def fits(thing):
        near = {
            words_of_type(other["type"])
            for other in things
            if other is not thing
            and other["room"] == thing["room"]
            and gap_between(thing, other) <= 1.0
        }
        return near.issuperset(nouns)

    return fits


@pytest.mark.parametrize("name", TASK_NAMES)
def test_sampled_episodes_are_what_their_sentences_say(houses, name):
    config = TaskConfig(names=(name,))
    count = 25
    sampler = make_sampler(houses, config, 11)
    episodes = sampler.sample(np.zeros(count, np.int64), np.arange(count))
    vocabulary = sampler.mixture.vocabulary(tuple(sorted(
        {thing["type"] for house in houses for thing in house.objects()}
    )))  # fmt: skip
    worlds = EmbeddedWorlds(houses, num_envs=count, num_threads=1)
    facts = np.zeros(count, worlds.facts_dtype)
    frames = np.zeros((count, *worlds.camera.frame_shape), np.uint8)
    worlds.reset(np.arange(count, dtype=np.int32), episodes.specs, frames, facts)  # starts are free
    judged = sampler.mixture.judge(with_done(facts))
    assert not judged.success.any(), "a start solves the task"
    for spec, words, label in zip(
        episodes.specs, episodes.instructions, episodes.target_types, strict=True
    ):
        house = houses[spec["house"]]
        targets = spec["targets"][: spec["num_targets"]].tolist()
        check_sentence(name, house, words, targets, label)
        ids = vocabulary.encode([words])[0]
        assert len(split_words(words)) <= vocabulary.max_words
        assert UNKNOWN not in ids, words
    if name == "RoomNav":
        assert not facts["in_target_room"].any()
    if name.startswith("Obj"):
        assert (episodes.shortest_paths >= 1.0).all() and (facts["target_geodesic"] >= 0).all()
    if name == "ObjNavRelAttribute":
        assert sum(" smallest " in words for words in episodes.instructions) > 2


def with_done(facts):
    """The same rows as if the last action had been done."""
    rows = facts.copy()
    rows["last_action"] = 4
    return rows


def test_episode_rows_fit_the_simulators_dtype():
    assert {"task", "goal", "max_steps", "target_rooms", "randomise"} <= set(EPISODE_DTYPE.names)
