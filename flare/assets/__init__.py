"""Data about object kinds that ships with the package: box sizes, proxy shapes and colours."""

import json
from functools import cache
from importlib import resources


def library_json() -> str:
    """Text of the asset library, the input of ``flare._core.AssetLibrary.from_json``."""
    return resources.files(__package__).joinpath("library.json").read_text(encoding="utf-8")


def materials_json() -> str:
    """Text of the table of AI2-THOR's material names, wall colours and skyboxes."""
    return resources.files(__package__).joinpath("materials.json").read_text(encoding="utf-8")


@cache
def object_types() -> frozenset[str]:
    """Every object type of the asset library."""
    return frozenset(str(kind["type"]) for kind in json.loads(library_json())["categories"])
