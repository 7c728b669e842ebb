"""Instructions: the original's sentence parts, and the closed vocabulary of word ids."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PAD, UNKNOWN = 0, 1
# The original's pools, in its order.
GO_TO_VERBS = ("go to", "locate", "find", "search for", "navigate to")
PICK_UP_VERBS = ("pick up", "take", "grab", "grasp", "clutch", "hold")

# Vowels that sound like consonants, as in "a unicycle" and "a utensil".
_SPOKEN_CONSONANT = ("uni", "eu", "one", "once", "use", "uten", "util", "ufo")
_SILENT_H = ("hour", "heir", "honest")


def words_of_type(type_name: str) -> str:
    """'AlarmClock' -> 'alarm clock', 'TVStand' -> 'tv stand'; of object and room types."""
    boundary = r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])"
    return re.sub(boundary, " ", type_name).lower()


def with_article(noun: str) -> str:
    """'an apple', 'a bed', 'a unicycle', 'an hourglass': by sound, as far as spelling tells."""
    by_letter = noun[0] in "aeiou" and not noun.startswith(_SPOKEN_CONSONANT)
    return f"an {noun}" if by_letter or noun.startswith(_SILENT_H) else f"a {noun}"


def go_to(words: str, draw: int) -> str:
    """'find a bed': a verb of GO_TO_VERBS, chosen by ``draw``, before the words of a goal."""
    return f"{GO_TO_VERBS[draw % len(GO_TO_VERBS)]} {words}"


def pick_up(words: str, draw: int) -> str:
    """'grab a mug': a verb of PICK_UP_VERBS, chosen by ``draw``, before the words of a goal."""
    return f"{PICK_UP_VERBS[draw % len(PICK_UP_VERBS)]} {words}"


def split_words(sentence: str) -> list[str]:
    """Lower-case words without the punctuation around them."""
    return [word.strip(".,;:/'\"\\") for word in sentence.lower().split()]


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Word ids: 0 pads, 1 is any unknown word, the rest are the sorted words it was built from."""

    words: tuple[str, ...]
    max_words: int = 8

    @classmethod
    def of_texts(cls, texts: Iterable[str], max_words: int = 8) -> "Vocabulary":
        """All words of these texts."""
        return cls(tuple(sorted({w for text in texts for w in split_words(text)})), max_words)

    def __len__(self) -> int:
        """Number of ids, padding and unknown included."""
        return len(self.words) + 2

    def encode(self, sentences: Sequence[str]) -> NDArray[np.int64]:
        """Word ids of sentences: [len(sentences), max_words] int64, cut or padded on the right."""
        index = {word: i + 2 for i, word in enumerate(self.words)}
        out = np.full((len(sentences), self.max_words), PAD, np.int64)
        for row, sentence in zip(out, sentences, strict=True):
            ids = [index.get(word, UNKNOWN) for word in split_words(sentence)][: self.max_words]
            row[: len(ids)] = ids
        return out
