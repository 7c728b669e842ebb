import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from flare.tasks.instructions import (
    GO_TO_VERBS,
    PAD,
    UNKNOWN,
    Vocabulary,
    object_nav_instruction,
    words_of_type,
)


def test_type_names_become_words():
    assert words_of_type("AlarmClock") == "alarm clock"
    assert words_of_type("TVStand") == "tvstand"
    assert words_of_type("Bed") == "bed"


def test_determiner_follows_the_first_letter():
    assert object_nav_instruction("Apple", GO_TO_VERBS.index("find")) == "find an apple"
    assert object_nav_instruction("Bed", GO_TO_VERBS.index("go to")) == "go to a bed"


def test_verbs_wrap_around():
    n = len(GO_TO_VERBS)
    assert object_nav_instruction("Bed", 1) == object_nav_instruction("Bed", 1 + n)


def test_encoding_pads_right_and_marks_unknown_words():
    vocabulary = Vocabulary.of_types(["Bed"])
    ids = vocabulary.encode(["find a bed", "find a dragon"])
    assert ids.shape == (2, vocabulary.max_words)
    assert ids.dtype == np.int64
    assert (ids[0, :3] > UNKNOWN).all()
    assert (ids[:, 3:] == PAD).all()
    assert ids[1, 2] == UNKNOWN


@given(st.permutations(["Bed", "Sofa", "AlarmClock", "HousePlant"]))
def test_vocabulary_does_not_depend_on_the_order_of_types(types):
    assert Vocabulary.of_types(types) == Vocabulary.of_types(sorted(types))


def test_every_instruction_of_a_known_type_is_covered():
    types = ["Bed", "AlarmClock", "Apple"]
    vocabulary = Vocabulary.of_types(types)
    sentences = [object_nav_instruction(t, v) for t in types for v in range(len(GO_TO_VERBS))]
    ids = vocabulary.encode(sentences)
    assert (ids != UNKNOWN).all()
    assert set(ids.ravel()) == {PAD, *range(2, len(vocabulary))}
