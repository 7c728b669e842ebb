"""Task specs: made of goals, read back, put into words; hand-written ones of other sources."""

import gzip
import json

import numpy as np
import pytest

from flare.assembly import TaskConfig, load_house_file, make_sampler
from flare.data.task_spec import parse_task_spec, sentence_of, template_of
from flare.tasks.registry import TASK_NAMES, TASKS


@pytest.fixture(scope="module")
def real_houses(shared_dir):
    return load_house_file(shared_dir / "houses" / "objaverse_val.jsonl.gz", limit=6)


@pytest.mark.parametrize("name", TASK_NAMES)
def test_a_template_says_the_same_as_the_task(real_houses, name):
    """Every sampled goal: targets, rooms and, with the same draw, the very sentence."""
    sampler = make_sampler(real_houses, TaskConfig(names=(name,)), 3)
    task = TASKS[name]()
    episodes = sampler.sample(np.zeros(12, np.int64), np.arange(12))
    differing = []
    for spec, goal in zip(episodes.specs, episodes.goals, strict=True):
        house = real_houses[int(spec["house"])]
        template = json.loads(json.dumps(template_of(name, goal, house)))
        place = {
            "house_index": int(spec["house"]),
            "agent_starting_position": [float(spec["x"]), 0.9, float(spec["z"])],
            "agent_y_rotation": float(spec["yaw_deg"]),
        }
        parsed = parse_task_spec(template | place)
        objects, rooms = house.objects(), house.rooms()
        assert parsed.task == name and parsed.house == int(spec["house"])
        assert {objects[t]["id"] for t in goal.targets} == set(parsed.targets)
        if name == "RoomNav":
            assert [rooms[r]["id"] for r in goal.rooms] == list(parsed.rooms)
        differing += [
            (sentence_of(template, draw), task.sentence(goal, draw))
            for draw in range(30)
            if sentence_of(template, draw) != task.sentence(goal, draw)
        ]
    assert differing == []


def test_the_benchmarks_own_spec():
    """The fact sheet's example, with its keys."""
    ids = {"apple.n.01": ["Apple|surface|3|12"]}
    spec = parse_task_spec({
        "task_type": "ObjectNavType", "house_index": 123, "natural_language_spec": "find an apple",
        "agent_starting_position": [4.2, 0.9009982, 7.5], "agent_y_rotation": 210.0,
        "synsets": ["apple.n.01"], "synset_to_object_ids": ids,
        "broad_synset_to_object_ids": {"apple.n.01": ["Fruit|1", "Apple|surface|3|12"]},
    })  # fmt: skip
    assert (spec.task, spec.house, spec.start) == ("ObjectNav", 123, (4.2, 7.5, 210.0))
    assert spec.targets == ("Apple|surface|3|12", "Fruit|1")
    assert spec.sentence(9) == "find an apple"


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ({"task_type": "SimpleExploreHouse", "num_rooms_in_house": 4},
         "go to all 4 rooms in the house. indicate when you have seen a new room and when you are "
         "done"),
        ({"task_type": "ObjectNavRelAttribute", "synsets": ["mug.n.04"], "room_type": "Kitchen",
          "rel_attribute": ["closest", "ashcan.n.01"]},
         "go to the mug closest to the garbage can in the kitchen"),
        ({"task_type": "ObjectNavRelAttribute", "synsets": ["alarm_clock.n.01"],
          "room_type": "LivingRoom", "rel_attribute": "smallest"},
         "go to the smallest alarm clock in the living room"),
        ({"task_type": "FetchType", "synsets": ["apple.n.01"]}, "go to an apple and pick up that "
         "apple"),
        ({"task_type": "ObjectNavOpenVocab", "synsets": ["vase.n.01"]}, "go to a vase"),
    ],
)  # fmt: skip
def test_sentences_of_specs_without_one(document, sentence):
    assert sentence_of(document, 0) == sentence


def test_the_real_agents_specs_are_read(shared_dir):
    with gzip.open(shared_dir / "houses" / "unity_task_specs.jsonl.gz", "rt") as file:
        documents = [json.loads(line) for line in file]
    kinds = {"ObjectNavType": "ObjectNav", "ExploreHouse": "RoomVisit"}
    read = [parse_task_spec(d) for d in documents if d["task_type"] in kinds]
    assert len(read) == sum(d["task_type"] in kinds for d in documents) > 100
    for spec in read:
        assert spec.task == kinds[spec.document["task_type"]]
        assert spec.house == spec.document["house_line"]
    with pytest.raises(KeyError, match="Fetch2RoomType"):
        parse_task_spec(next(d for d in documents if d["task_type"] == "Fetch2RoomType"))
