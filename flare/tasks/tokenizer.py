"""Instructions to token ids: what policies ask of a tokenizer, and T5's own from its file.

T5 cuts text into pieces with a unigram model (Kudo 2018): of all ways to cut a word, the one whose
pieces have the largest sum of log probabilities. The pieces and their numbers are in the
tokenizer.json of any download of t5-small.
"""

import json
import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from flare.errors import UserError

_SPACE = "\u2581"  # stands for the blank before a word
_UNKNOWN_PENALTY = 10.0  # below the least likely piece, as sentencepiece has it
_MEND = "give the tokenizer.json of a download of t5-small"


class Tokenizer(Protocol):
    """Sentences to ids."""

    @property
    def max_words(self) -> int:
        """L: ids of an encoded sentence, padding included."""
        ...

    def encode(self, sentences: Sequence[str]) -> NDArray[np.int64]:
        """Ids of sentences: [len(sentences), max_words] int64, padded on the right."""
        ...


class UnigramTokenizer:
    """The tokenizer of T5 or SigLIP, from its tokenizer.json."""

    def __init__(
        self, pieces: Sequence[tuple[str, float]], *, unknown: int, end: int, pad: int,
        max_words: int,
    ) -> None:  # fmt: skip
        """Keep the model.

        Args:
            pieces: every piece and its log probability; ids follow the order.
            unknown: id of what no piece covers.
            end: id that closes a sentence.
            pad: id that fills up.
            max_words: L.
        """
        self._id = {piece: i for i, (piece, _) in enumerate(pieces)}
        self._score = dict(pieces)
        self._longest = max(len(piece) for piece in self._id)
        self._unknown_score = min(score for _, score in pieces) - _UNKNOWN_PENALTY
        self._unknown, self._end, self._pad, self._max_words = unknown, end, pad, max_words
        self._cut = lru_cache(maxsize=65536)(self._best_cut)

    @classmethod
    def from_json(cls, blob: bytes, *, max_words: int, pad: int = 0) -> "UnigramTokenizer":
        """Read a tokenizer.json.

        Raises:
            UserError: no JSON, or not that of a unigram model.
        """
        try:
            model: dict[str, Any] = json.loads(blob)["model"]
            pieces = [(str(piece), float(score)) for piece, score in model["vocab"]]
            end = [piece for piece, _ in pieces].index("</s>")
            return cls(pieces, unknown=int(model["unk_id"]), end=end, pad=pad, max_words=max_words)
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"is no unigram tokenizer ({type(error).__name__}: {error})",
                file="tokenizer.json",
                mend=_MEND,
            ) from error

    @property
    def max_words(self) -> int:
        """L: ids of an encoded sentence, padding included."""
        return self._max_words

    @property
    def vocab_size(self) -> int:
        """Pieces of the model."""
        return len(self._id)

    def encode(self, sentences: Sequence[str]) -> NDArray[np.int64]:
        """Ids of sentences: [len(sentences), max_words] int64, closed and padded on the right.

        Raises:
            UserError: a sentence of more than max_words ids.
        """
        out = np.full((len(sentences), self._max_words), self._pad, np.int64)
        for row, sentence in zip(out, sentences, strict=True):
            ids = self._ids(sentence)
            if len(ids) > self._max_words:
                raise UserError(
                    f"{sentence[:60]!r}... has {len(ids)} tokens, the policy reads "
                    f"{self._max_words}",
                    key="network.text.max_tokens",
                    mend="shorten the instruction, or import the checkpoint with more tokens",
                )
            row[: len(ids)] = ids
        return out

    def _ids(self, sentence: str) -> list[int]:
        words = re.split(r"\s+", unicodedata.normalize("NFKC", sentence).strip())
        ids = [i for word in words if word for i in self._cut(_SPACE + word)]
        merged = [
            i for k, i in enumerate(ids) if i != self._unknown or k == 0 or ids[k - 1] != i
        ]  # neighbours that no piece covers count as one
        return [*merged, self._end]

    def _best_cut(self, text: str) -> tuple[int, ...]:
        """Ids of the most probable cut: dynamic programming over the end of the last piece."""
        best = [0.0] + [float("-inf")] * len(text)
        last = [0] * (len(text) + 1)
        for stop in range(1, len(text) + 1):
            for start in range(max(0, stop - self._longest), stop):
                piece = text[start:stop]
                score = self._score.get(piece)
                if score is None:
                    if stop - start > 1:
                        continue
                    score = self._unknown_score
                if best[start] + score > best[stop]:
                    best[stop], last[stop] = best[start] + score, start
        ids: list[int] = []
        stop = len(text)
        while stop > 0:
            ids.append(self._id.get(text[last[stop] : stop], self._unknown))
            stop = last[stop]
        return tuple(reversed(ids))
