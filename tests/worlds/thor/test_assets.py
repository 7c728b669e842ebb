"""Objaverse assets: folders as they are published, read by the worker, made in the simulator."""

import gzip
import json
import os
import pickle
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flare.assets.encodings import ENCODINGS
from flare.worlds.embedded import load_houses
from flare.worlds.thor.worlds import ThorWorlds
from flare.worlds.thor_worker.assets import AssetHook, _read_asset
from tests.assets.example_assets import example_id, write_example
from tests.worlds.thor.made_worlds import CAMERA, QUICK, Seat, specs_of
from tests.worlds.thor.places import PROGRAM, furnished


def write(path, content):
    path.write_bytes(gzip.compress(pickle.dumps(content)))
    return str(path)


def test_numbers_in_arrays_lists_and_maps_are_read(tmp_path):
    mesh = {"name": "mug", "vertices": np.arange(6.0), "triangles": [0, 1, 2]}
    read = _read_asset(write(tmp_path / "mug.pkl.gz", mesh), ".pkl.gz")
    assert np.array_equal(read["vertices"], mesh["vertices"]) and read["triangles"] == [0, 1, 2]


class Command:
    def __reduce__(self):
        return os.system, ("echo this ran > ran",)


def test_code_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(pickle.UnpicklingError, match="system"):
        _read_asset(write(tmp_path / "mug.pkl.gz", {"name": Command()}), ".pkl.gz")
    assert not (tmp_path / "ran").exists()


KINDS = dict(zip(("Mug", "Chair", "HousePlant", "Painting", "Bowl"), ENCODINGS, strict=True))


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """One asset in each of the published encodings."""
    for kind, encoding in KINDS.items():
        shape = "Mug" if kind == "Bowl" else kind
        write_example(tmp_path / "assets", shape, encoding, asset_id=example_id(kind))
    return tmp_path / "assets"


def house_of(*kinds: str) -> dict[str, Any]:
    """The furnished rooms with such objects, the last one on the one before it."""
    house = json.loads(furnished())
    apple, made = house["objects"][-1], []
    for i, kind in enumerate(kinds):
        place = {"x": 0.5 + 0.6 * i, "y": 0.3, "z": 0.5}
        name = f"Obja{kind}|2|{i}"
        made.append(dict(apple, id=name, assetId=example_id(kind), position=place))
    if len(made) > 1:
        made[-2]["children"] = [made[-1]]
        made.pop()
    house["objects"] += made
    return house


@pytest.fixture(scope="module")
def controller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    module = pytest.importorskip("ai2thor.controller")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        made = module.Controller(
            local_executable_path=str(PROGRAM), scene="Procedural", x_display=":0",
            agentMode="stretch", server_timeout=30,
        )  # fmt: skip
        yield made
        made.stop()


def known(controller: Any, *kinds: str) -> list[bool]:
    ids = [example_id(kind) for kind in kinds]
    answer = controller.step("AssetsInDatabase", assetIds=ids).metadata["actionReturn"]
    return [answer[each] for each in ids]


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
class TestHook:
    """The hook with the real client."""

    def hook(self, published: Path, **changes: Any) -> AssetHook:
        settings = {"limit": 200, "load_in_unity": False, "symlink": True, **changes}
        return AssetHook(str(published), str(published.parent / "processed_models"), **settings)

    @pytest.mark.parametrize("load_in_unity", [False, True])
    @pytest.mark.parametrize("symlink", [False, True])
    def test_a_house_has_its_assets_whatever_their_encoding(
        self, controller, published, load_in_unity, symlink
    ):
        controller.step("DeleteLRUFromProceduralCache", assetLimit=0)
        hook = self.hook(published, load_in_unity=load_in_unity, symlink=symlink)
        hook.after_start(controller)
        assert known(controller, *KINDS) == [False] * 5
        hook.before_house(controller, house_of(*KINDS))
        assert known(controller, *KINDS) == [True] * 5
        placed = published.parent / "processed_models" / example_id("Mug")
        assert placed.is_symlink() == symlink and (placed / "albedo.jpg").is_file()
        controller.reset(house_of(*KINDS))
        assert controller.last_event.metadata["lastActionSuccess"]
        objects = {item["assetId"] for item in controller.last_event.metadata["objects"]}
        assert {example_id(kind) for kind in KINDS} <= objects

    def test_what_is_there_is_not_made_again_and_what_is_not_wanted_goes(
        self, controller, published
    ):
        hook = self.hook(published)
        hook.before_house(controller, house_of("Mug", "Chair"))
        shutil.rmtree(published / example_id("Chair"))
        hook.before_house(controller, house_of("Chair"))
        assert known(controller, "Mug", "Chair") == [True, True]
        hook.before_house(controller, house_of("Bowl"))
        assert known(controller, "Mug", "Chair", "Bowl") == [False, False, True]

    def test_an_asset_that_unity_could_not_make_is_refused(self, controller, published):
        (published / example_id("Bowl") / "normal.jpg").unlink()
        with pytest.raises(RuntimeError, match=r"normalTexturePath.*normal.jpg' is no file"):
            self.hook(published).before_house(controller, house_of("Bowl"))


def test_worlds_play_a_house_of_such_assets(published, tmp_path):
    """And a broken asset costs its house, by name."""
    pytest.importorskip("ai2thor")
    items = [("sound", json.dumps(house_of(*KINDS))), ("broken", json.dumps(house_of("Bowl")))]
    houses = load_houses(items)
    config = replace(QUICK, base_dir=str(tmp_path), assets=str(published), max_episodes=1)
    config = replace(config, house_failures=1)
    worlds = ThorWorlds(items, num_envs=1, config=config, camera=CAMERA, houses=houses)
    try:
        seat = Seat(worlds, specs_of(1))
        assert seat.step() == [False] and seat.frames.any() and worlds.failures == []
        (published / example_id("Bowl") / f"{example_id('Bowl')}{KINDS['Bowl']}").unlink()
        seat.specs["house"] = 1
        seat.reset(np.zeros(1, np.int32))
        assert seat.step() == [True] and worlds.quarantined == ["broken"]
        assert example_id("Bowl") in worlds.failures[0].reason
    finally:
        worlds.close()
