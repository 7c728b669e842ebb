"""The asset library as Python tables: which built-in assets a type has and how large they are."""

import json
from functools import lru_cache
from typing import Any, NamedTuple

from flare.assets import library_json, materials_json

Color = tuple[float, float, float]  # sRGB, 0 to 1


class Materials(NamedTuple):
    """Names that AI2-THOR knows."""

    floors: tuple[str, ...]
    walls: tuple[str, ...]
    wall_colors: tuple[Color, ...]  # that ProcTHOR paints walls in
    skyboxes: tuple[str, ...]


class Asset(NamedTuple):
    """A built-in asset of AI2-THOR."""

    asset_id: str
    type: str
    size: tuple[float, float, float]  # m along its own x, y, z
    pickupable: bool


@lru_cache(maxsize=1)
def _document() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(library_json())
    return document


@lru_cache(maxsize=1)
def categories() -> dict[str, dict[str, Any]]:
    """Type → its entry in ``library.json``."""
    return {entry["type"]: entry for entry in _document()["categories"]}


@lru_cache(maxsize=1)
def synonyms() -> dict[str, str]:
    """Another name of a type → the type."""
    table: dict[str, str] = _document()["synonyms"]
    return table


@lru_cache(maxsize=1)
def _assets() -> dict[str, Asset]:
    return {
        asset_id: Asset(asset_id, name, tuple(size), bool(entry.get("pickupable")))
        for name, entry in categories().items()
        for asset_id, size in entry.get("assets", {}).items()
    }


def find_asset(asset_id: str) -> Asset | None:
    """Look a built-in asset up by its id; None if there is no such."""
    return _assets().get(asset_id)


def asset_size(asset_id: str) -> tuple[float, float, float]:
    """Box size in metres of a built-in asset. Raises KeyError for any other id."""
    return _assets()[asset_id].size


@lru_cache(maxsize=256)
def assets_of(type_name: str) -> tuple[Asset, ...]:
    """Every built-in asset of a type, in the library's order; empty for an unknown type."""
    entry = categories().get(type_name, {})
    return tuple(_assets()[asset_id] for asset_id in entry.get("assets", {}))


@lru_cache(maxsize=1)
def materials() -> Materials:
    """Materials of floors and walls, and skyboxes."""
    document: dict[str, Any] = json.loads(materials_json())
    return Materials(
        floors=tuple(document["floors"]),
        walls=tuple(document["walls"]),
        wall_colors=tuple((r, g, b) for r, g, b in document["wall_colors"]),
        skyboxes=tuple(document["skyboxes"]),
    )
