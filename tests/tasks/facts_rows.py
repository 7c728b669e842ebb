"""Fabricated rows of facts: every field of the simulator's dtype, zero unless given."""

import numpy as np

from flare.specs import ACTION_NAMES
from flare.tasks.registry import TAGS
from flare.worlds.embedded import FACTS_DTYPE

# The same fields with every real number in double precision, for goldens computed in it.
EXACT_DTYPE = np.dtype(
    [
        (name, np.dtype((np.float64, part.shape)) if part.base == np.float32 else part)
        for name, (part, *_) in ((n, FACTS_DTYPE.fields[n]) for n in FACTS_DTYPE.names)
    ]
)


def rows(count=1, task="ObjectNav", action="move_ahead", dtype=FACTS_DTYPE, **fields):
    """[count] rows; ``action`` is a name or a list of names, fields are scalars or lists."""
    facts = np.zeros(count, dtype)
    names = [action] * count if isinstance(action, str) else action
    facts["last_action"] = [ACTION_NAMES.index(name) for name in names]
    facts["task"] = TAGS[task]
    facts["held_object"] = -1
    for name, value in fields.items():
        facts[name] = value
    return facts
