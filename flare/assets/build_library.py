"""Make ``library.json`` from measured asset boxes and the looks of ``flare.assets.looks``.

Run as ``python -m flare.assets.build_library FACTS [PLACEMENTS]``. FACTS is a (gzipped) JSON map
``asset id -> {"type", "size": [x, y, z], "primary"}``; PLACEMENTS maps Objaverse ids to
``{"type", "center_y"}``. README.md in this folder says where both come from.
"""

import gzip
import json
import sys
from pathlib import Path
from statistics import median
from typing import Any

from flare.assets.looks import FOOTPRINT, LOOKS, ON_WALL, SHAPE_WORDS, SYNONYMS, Look

_HELD_HEIGHT = 0.12  # m, of a type only ever seen on top of something
_LARGEST_PICKUP = 0.5  # m
_HUNG_SIZE = [
    0.6,
    0.6,
    0.04,
]  # m, of a type that hangs on walls: its height above the floor says nothing


def _read(path: Path) -> dict[str, Any]:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as file:
        data: dict[str, Any] = json.load(file)
    return data


def _look_of(type_name: str) -> Look:
    if type_name in LOOKS:
        return LOOKS[type_name]
    if type_name in ON_WALL:
        return Look("panel")
    for word, shape in SHAPE_WORDS:
        if word in type_name:
            return Look(shape)
    return Look("box")


def _rounded(size: list[float]) -> list[float]:
    return [round(value, 3) for value in size]


def _measured(type_name: str, assets: dict[str, dict[str, Any]]) -> dict[str, Any]:
    sizes = [asset["size"] for asset in assets.values()]
    entry = _entry(type_name, [median(size[axis] for size in sizes) for axis in range(3)])
    if any(asset["primary"] == "CanPickup" for asset in assets.values()):
        entry["pickupable"] = True
    entry["assets"] = {name: _rounded(asset["size"]) for name, asset in sorted(assets.items())}
    return entry


def _guessed(type_name: str, heights: list[float]) -> dict[str, Any]:
    if type_name in ON_WALL:
        return _entry(type_name, _HUNG_SIZE)
    height = median(heights) if heights else _HELD_HEIGHT
    width, depth = FOOTPRINT[_look_of(type_name).shape]
    entry = _entry(type_name, [width * height, height, depth * height])
    if not heights and max(entry["size"]) <= _LARGEST_PICKUP:
        entry["pickupable"] = True
    return entry


def _entry(type_name: str, size: list[float]) -> dict[str, Any]:
    look = _look_of(type_name)
    entry: dict[str, Any] = {"type": type_name, "shape": look.shape, "size": _rounded(size)}
    if look.rgb is not None:
        entry["color"] = list(look.rgb)
    if type_name in ON_WALL:
        entry["on_wall"] = True
    return entry


def build_library(facts: dict[str, Any], placements: dict[str, Any]) -> dict[str, Any]:
    """Join measured boxes, Objaverse placements and looks into the library document."""
    assets: dict[str, dict[str, Any]] = {}
    for name, asset in facts.items():
        assets.setdefault(asset["type"], {})[name] = asset
    heights: dict[str, list[float]] = {}
    for placement in placements.values():
        type_name = placement["type"].removeprefix("Obja")
        known = heights.setdefault(type_name, [])
        if "center_y" in placement:
            known.append(2.0 * placement["center_y"])
    categories = [_measured(name, group) for name, group in assets.items()]
    categories += [
        _guessed(name, known)
        for name, known in heights.items()
        if name not in assets and name not in SYNONYMS
    ]
    return {
        "categories": sorted(categories, key=lambda entry: str(entry["type"])),
        "synonyms": {name: target for name, target in sorted(SYNONYMS.items()) if name != target},
    }


def main() -> None:
    """Write the library beside this file, one category a line."""
    paths = [Path(argument) for argument in sys.argv[1:]]
    document = build_library(_read(paths[0]), _read(paths[1]) if len(paths) > 1 else {})
    lines = ",\n".join(json.dumps(entry, separators=(",", ":")) for entry in document["categories"])
    synonyms = json.dumps(document["synonyms"], separators=(",", ":"))
    text = f'{{"categories":[\n{lines}\n],\n"synonyms":{synonyms}}}\n'
    Path(__file__).with_name("library.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
