import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flare.tasks.instructions import (
    GO_TO_VERBS,
    PAD,
    PICK_UP_VERBS,
    UNKNOWN,
    Vocabulary,
    split_words,
    with_article,
    words_of_type,
)
from flare.tasks.mixture import TaskMixture
from flare.tasks.registry import TASK_NAMES, TASKS
from flare.tasks.scene import Goal

TYPES = ("AlarmClock", "Apple", "Bed")


def test_type_names_become_words():
    assert words_of_type("AlarmClock") == "alarm clock"
    assert words_of_type("TVStand") == "tv stand"
    assert words_of_type("CD") == "cd"
    assert words_of_type("Bed") == "bed"


def test_the_article_follows_the_sound():
    nouns = ("apple", "bed", "umbrella", "unicycle", "utensil", "hourglass", "house plant", "egg")
    assert [with_article(noun).split()[0] for noun in nouns] == [
        "an", "a", "an", "a", "a", "an", "a", "an",
    ]  # fmt: skip


def test_verb_pools_are_the_originals():
    assert GO_TO_VERBS == ("go to", "locate", "find", "search for", "navigate to")
    assert PICK_UP_VERBS == ("pick up", "take", "grab", "grasp", "clutch", "hold")


SENTENCES = {
    "ObjectNav": (Goal("Apple", "an apple"), "locate an apple"),
    "PickUp": (Goal("Apple", "an apple"), "take an apple"),
    "Fetch": (Goal("Apple", "an apple"), "locate an apple and pick up that apple"),
    "RoomVisit": (
        Goal("4 rooms", "4"),
        "go to all 4 rooms in the house. "
        "indicate when you have seen a new room and when you are done",
    ),
    "RoomNav": (Goal("Kitchen", "a kitchen"), "locate a kitchen"),
}


@pytest.mark.parametrize("name", SENTENCES)
def test_sentences_follow_the_originals_templates(name):
    goal, sentence = SENTENCES[name]
    assert TASKS[name]().sentence(goal, 1) == sentence


@settings(deadline=None)
@given(st.sampled_from(TASK_NAMES), st.integers(0, 2**32))
def test_any_draw_gives_a_sentence_with_verbs_of_the_pools(name, draw):
    sentence = TASKS[name]().sentence(Goal("Bed", "a bed"), draw)
    pool = PICK_UP_VERBS if name == "PickUp" else GO_TO_VERBS
    assert sentence.startswith(pool)
    if name == "Fetch":
        assert re.fullmatch(rf".* a bed and ({'|'.join(PICK_UP_VERBS)}) that bed", sentence)


def test_fetch_draws_its_two_verbs_apart():
    sentences = {TASKS["Fetch"]().sentence(Goal("Bed", "a bed"), draw) for draw in range(30)}
    assert len(sentences) == len(GO_TO_VERBS) * len(PICK_UP_VERBS)


def test_encoding_pads_right_and_marks_unknown_words():
    vocabulary = Vocabulary.of_texts(["find a bed"])
    ids = vocabulary.encode(["find a bed", "Find a dragon."])
    assert ids.shape == (2, vocabulary.max_words)
    assert ids.dtype == np.int64
    assert (ids[0, :3] > UNKNOWN).all()
    assert (ids[:, 3:] == PAD).all()
    assert ids[1].tolist()[:3] == [ids[0, 0], ids[0, 1], UNKNOWN]


@settings(deadline=None)
@given(st.permutations(["Bed", "Sofa", "AlarmClock", "HousePlant"]))
def test_the_vocabulary_does_not_depend_on_the_order_of_types(types):
    mixture = TaskMixture.of(TASKS["ObjectNav"]())
    assert mixture.vocabulary(tuple(types)) == mixture.vocabulary(tuple(sorted(types)))


def test_the_vocabulary_of_object_nav_is_closed():
    vocabulary = TaskMixture.of(TASKS["ObjectNav"]()).vocabulary(TYPES)
    task = TASKS["ObjectNav"]()
    goals = [Goal(name, with_article(words_of_type(name))) for name in TYPES]
    ids = vocabulary.encode([task.sentence(goal, v) for goal in goals for v in range(5)])
    assert (ids != UNKNOWN).all()
    assert set(ids.ravel()) == {PAD, *range(2, len(vocabulary))}


def test_the_fixed_sentence_of_room_visit_is_not_cut():
    vocabulary = TaskMixture.of(TASKS["RoomVisit"]()).vocabulary(())
    sentence = TASKS["RoomVisit"]().sentence(Goal("64 rooms", "64"), 0)
    ids = vocabulary.encode([sentence])[0]
    assert (ids > UNKNOWN).sum() == len(split_words(sentence)) == 21
