"""House documents from what a caller has: a file, documents in memory, or a seed."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from flare.errors import UserError
from flare.houses.files import read_houses
from flare.houses.generator import GeneratorConfig, generate_house

GENERATED = "generated"
Houses = str | os.PathLike[str] | Sequence[Mapping[str, Any] | str]


def house_items(
    houses: Houses, *, count: int, seed: int, split: str = "train"
) -> list[tuple[str, str]]:
    """Source and JSON text of each house.

    Args:
        houses: "generated", a house file, or documents as mappings or JSON text.
        count: how many are generated, or the most that are read of a file.
        seed: of generated houses; the same seed gives the same houses.
        split: of generated houses.

    Raises:
        UserError: no house, or a file that is not as it should be.
    """
    if count < 1:
        raise UserError(f"is {count}", key="num_houses", mend="use at least 1")
    if houses == GENERATED:
        return [generated_item(seed, split, i, GeneratorConfig()) for i in range(count)]
    if isinstance(houses, str | os.PathLike):
        return read_houses(Path(houses), limit=count)
    if not houses:
        raise UserError("holds no house", key="houses", mend="give at least one document")
    return [
        (f"house {i}", document if isinstance(document, str) else json.dumps(dict(document)))
        for i, document in enumerate(houses)
    ]


def generated_item(seed: int, split: str, index: int, config: GeneratorConfig) -> tuple[str, str]:
    """Source and JSON text of one generated house."""
    document = generate_house(seed, split, index, config)
    return f"generated {split} house {index} of seed {seed}", json.dumps(document)
