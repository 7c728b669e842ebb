"""Objaverse assets for houses: what AI2-THOR does not have yet is handed to it before a house.

The public client 5.0.0 has no hook of its own for this.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import shutil
from typing import Any

_EXTENSIONS = (".json", ".json.gz", ".msgpack", ".msgpack.gz", ".pkl.gz")
_TEXTURES = ("albedo", "normal", "emission", "metallicSmoothness")


def asset_ids(house: dict[str, Any]) -> list[str]:
    """Every asset of a house's objects, children included; each once, in order."""
    found: dict[str, None] = {}
    todo = list(house.get("objects", []))
    while todo:
        item = todo.pop()
        if "assetId" in item:
            found[item["assetId"]] = None
        todo.extend(item.get("children", []))
    return sorted(found)


class AssetHook:
    """Gives a simulator the assets of the next house that it lacks."""

    def __init__(
        self, folder: str, target: str, limit: int, load_in_unity: bool, symlink: bool
    ) -> None:
        self._folder, self._target, self._limit = folder, target, limit
        self._load_in_unity, self._symlink = load_in_unity, symlink
        self._kept: set[str] = set()  # assets of the house since the cache was emptied

    def after_start(self, controller: Any) -> None:
        """Bound the simulator's cache."""
        if self._folder and self._limit > 0:
            controller.step("DeleteLRUFromProceduralCache", assetLimit=self._limit)

    def before_house(self, controller: Any, house: dict[str, Any]) -> None:
        """Make what is missing of a house.

        Raises:
            RuntimeError: AI2-THOR refuses an asset.
            OSError: an asset's files cannot be read.
        """
        if not self._folder:
            return
        ids = asset_ids(house)
        if not self._kept.issuperset(ids):
            controller.step("DeleteLRUFromProceduralCache", assetLimit=0)
            self._kept = set(ids)
        event = controller.step(
            "AssetsInDatabase", assetIds=ids, updateProceduralLRUCache=True, raise_for_failure=True
        )
        known = event.metadata["actionReturn"]
        for asset_id in ids:
            if not known[asset_id] and os.path.isdir(os.path.join(self._folder, asset_id)):
                self._create(controller, asset_id)

    def _create(self, controller: Any, asset_id: str) -> None:
        source = os.path.join(self._folder, asset_id)
        placed = os.path.join(self._target, asset_id)
        if not os.path.exists(placed):
            os.makedirs(self._target, exist_ok=True)
            temporary = "%s.%d" % (placed, os.getpid())  # noqa: UP031 - one form for all versions
            if self._symlink:
                os.symlink(source, temporary)
                os.replace(temporary, placed)
            else:
                shutil.copytree(source, temporary)
                try:
                    os.rename(temporary, placed)
                except OSError:  # another worker was first
                    shutil.rmtree(temporary)
        extension = _extension_of(source, asset_id)
        annotations = _annotations(source)
        # Unity itself reads no pickles.
        if self._load_in_unity and extension != ".pkl.gz":
            controller.step(
                "CreateRuntimeAsset",
                id=asset_id,
                dir=self._target,
                extension=extension,
                annotations=annotations,
                raise_for_failure=True,
            )
            return
        asset = _read_asset(f"{source}/{asset_id}{extension}", extension)
        for texture in _TEXTURES:
            key = texture + "TexturePath"
            if asset.get(key):
                asset[key] = os.path.join(placed, os.path.basename(asset[key]))
        asset["annotations"] = annotations
        controller.step("CreateRuntimeAsset", asset=asset, raise_for_failure=True)


def _extension_of(folder: str, asset_id: str) -> str:
    for extension in _EXTENSIONS:
        if os.path.exists(os.path.join(folder, asset_id + extension)):
            return extension
    raise FileNotFoundError("%s has no mesh file %s%s" % (folder, asset_id, _EXTENSIONS))  # noqa: UP031


def _annotations(folder: str) -> dict[str, Any]:
    """What AI2-THOR is to take an asset for."""
    primary = "CanPickup"
    secondary: list[str] = []
    path = os.path.join(folder, "thor_metadata.json")
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            facts = json.load(file)
        facts = facts.get("assetMetadata", facts)
        primary = facts.get("primaryProperty", primary)
        secondary = facts.get("secondaryProperties", secondary)
    return {
        "objectType": "Undefined",
        "primaryProperty": primary,
        "secondaryProperties": secondary,
    }


def _read_asset(path: str, extension: str) -> Any:
    opener = gzip.open if extension.endswith(".gz") else open
    with opener(path, "rb") as file:
        data = file.read()
    if extension.startswith(".pkl"):
        return _MeshUnpickler(io.BytesIO(data)).load()
    if extension.startswith(".msgpack"):
        import msgpack

        return msgpack.unpackb(data)
    return json.loads(data)


class _MeshUnpickler(pickle.Unpickler):
    """Reads what meshes are made of, numbers in arrays, lists and maps, and refuses all else.

    A pickle that may name any function may run any code, and assets come from elsewhere.
    """

    _KNOWN = frozenset(
        {
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy._core.multiarray", "_reconstruct"),
        }
    )

    def find_class(self, module_name: str, global_name: str) -> Any:
        if (module_name, global_name) not in self._KNOWN:
            raise pickle.UnpicklingError(f"names {module_name}.{global_name}, which no mesh holds")
        return super().find_class(module_name, global_name)
