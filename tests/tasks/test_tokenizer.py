"""The unigram tokenizer, by hand and against all ways to cut a word."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flare.errors import UserError
from flare.tasks.tokenizer import UnigramTokenizer

S = "\u2581"
PIECES = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), (S, -2.0), (f"{S}go", -3.0), ("to", -4.0),
          (f"{S}to", -3.5), ("g", -5.0), ("o", -5.0), ("go", -6.0), ("t", -5.5)]  # fmt: skip


def tokenizer(max_words=8):
    blob = json.dumps({"model": {"type": "Unigram", "unk_id": 2, "vocab": PIECES}}).encode()
    return UnigramTokenizer.from_json(blob, max_words=max_words)


def test_by_hand():
    """``go to`` is two whole pieces; ``togo`` is ``_to`` and ``go``; both end with 1."""
    assert tokenizer().encode(["go to", " togo\t"]).tolist() == [
        [4, 6, 1, 0, 0, 0, 0, 0],
        [6, 9, 1, 0, 0, 0, 0, 0],
    ]


def test_what_no_piece_covers_is_unknown_once():
    assert tokenizer().encode(["xyz go"])[0, :5].tolist() == [3, 2, 4, 1, 0]


@given(st.text(alphabet="gotx", min_size=1, max_size=8))
def test_the_best_of_all_cuts(word):
    scores = dict(PIECES)
    text, best = S + word, float("-inf")
    for mask in range(2 ** len(word)):
        edges = [0, *(i for i in range(1, len(text)) if mask >> (i - 1) & 1), len(text)]
        parts = [text[a:b] for a, b in pairwise(edges)]
        if all(part in scores or len(part) == 1 for part in parts):
            best = max(best, sum(scores.get(part, -16.0) for part in parts))
    names = [piece for piece, _ in PIECES]
    got = tokenizer()._best_cut(text)
    assert sum(-16.0 if i == 2 else scores[names[i]] for i in got) == pytest.approx(best)


def test_too_long_an_instruction_is_refused():
    with pytest.raises(UserError, match="has 5 tokens, the policy reads 4"):
        tokenizer(max_words=4).encode(["go to go to"])


@pytest.mark.parametrize("blob", [b"", b"[]", b"{}", b'{"model": {"vocab": {"a": 1}}}'])
def test_other_files_are_refused(blob):
    with pytest.raises(UserError, match=r"tokenizer.json: is no unigram tokenizer"):
        UnigramTokenizer.from_json(blob, max_words=4)
