"""Instructions: sentences for goals, and the closed vocabulary that turns them into word ids."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PAD, UNKNOWN = 0, 1
GO_TO_VERBS = (
    "find",
    "go to",
    "locate",
    "look for",
    "navigate to",
    "search for",
)


def words_of_type(object_type: str) -> str:
    """'AlarmClock' -> 'alarm clock'."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", object_type).lower()


def object_nav_instruction(object_type: str, verb_index: int) -> str:
    """Sentence for an ObjectNav goal, e.g. 'find an apple'; the verb is one of GO_TO_VERBS."""
    noun = words_of_type(object_type)
    determiner = "an" if noun[0] in "aeiou" else "a"
    return f"{GO_TO_VERBS[verb_index % len(GO_TO_VERBS)]} {determiner} {noun}"


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Word ids: 0 pads, 1 is any unknown word, the rest are the sorted words it was built from."""

    words: tuple[str, ...]
    max_words: int = 8

    @classmethod
    def of_types(cls, object_types: Iterable[str]) -> "Vocabulary":
        """All words that instructions about these object types can hold."""
        words = {w for t in object_types for w in words_of_type(t).split()}
        words.update(w for verb in GO_TO_VERBS for w in verb.split())
        words.update(("a", "an"))
        return cls(tuple(sorted(words)))

    def __len__(self) -> int:
        """Number of ids, padding and unknown included."""
        return len(self.words) + 2

    def encode(self, sentences: Sequence[str]) -> NDArray[np.int64]:
        """Word ids of sentences: [len(sentences), max_words] int64, cut or padded on the right."""
        index = {word: i + 2 for i, word in enumerate(self.words)}
        out = np.full((len(sentences), self.max_words), PAD, np.int64)
        for row, sentence in zip(out, sentences, strict=True):
            ids = [index.get(word, UNKNOWN) for word in sentence.lower().split()][: self.max_words]
            row[: len(ids)] = ids
        return out
