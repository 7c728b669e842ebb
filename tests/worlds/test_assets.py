"""Objaverse objects of a house with a pack of their meshes, and without."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from flare.assets.build import build_pack
from flare.assets.objathor_format import read_asset
from flare.assets.pack import PackFile, table_path
from flare.assets.payload import ConversionConfig
from flare.assets.simplify import simplify
from flare.errors import UserError
from flare.houses.check import check_file
from flare.houses.files import write_houses
from flare.specs import CameraSpec
from flare.worlds.embedded import (
    EPISODE_DTYPE,
    EmbeddedWorlds,
    House,
    HouseFormatError,
    load_house,
    load_houses,
    open_assets,
)
from flare.worlds.world import all_env_ids
from tests.assets.example_assets import example_id, write_example
from tests.worlds.two_rooms import two_rooms

SIZE = 384  # px


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    folders = [
        write_example(folder / "assets", "Painting")[0],
        write_example(folder / "assets", "Mug", y_rot_offset=90.0)[0],
    ]
    out = folder / "x.pack"
    build_pack(folders, out, config=ConversionConfig(max_texture=128))
    return out


def one_object(asset: str, name: str, y: float = 0.7, yaw: float = 180.0) -> str:
    """The two rooms with one thing 1 m ahead of a robot that stands at (2, 1) and looks to +z."""
    house: dict[str, Any] = json.loads(two_rooms())
    thing = dict(house["objects"][0], id=name, assetId=asset)
    thing["position"] = {"x": 2.0, "y": y, "z": 2.4}
    thing["rotation"] = {"x": 0, "y": yaw, "z": 0}
    house["objects"] = [thing]
    return json.dumps(house)


def look(house: House) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    """Colours and ids that the robot at (2, 1) sees ahead of it."""
    worlds = EmbeddedWorlds([house], num_envs=1, camera=CameraSpec(width=84, height=48))
    specs = np.zeros(1, EPISODE_DTYPE)
    specs["x"], specs["z"] = 2.0, 1.0
    frames = np.zeros((1, *worlds.camera.frame_shape), np.uint8)
    worlds.reset(all_env_ids(1), specs, frames, np.zeros(1, worlds.facts_dtype))
    rgb, _, ids = worlds.render(width=SIZE, height=SIZE, ids=True)
    assert ids is not None
    return rgb[0], ids[0]


def test_the_texture_shows_where_it_should(pack: Path) -> None:
    """The painting faces the robot: red and green above, blue and yellow below, as in its image."""
    rgb, ids = look(
        load_house(one_object(example_id("Painting"), "ObjaPainting|2|0"), "a", assets=pack)
    )
    rows, columns = np.nonzero(ids == 1)
    top, bottom, left, right = rows.min(), rows.max(), columns.min(), columns.max()
    assert bottom - top > 80
    assert right - left > 120

    def at(down: float, across: float) -> NDArray[np.int64]:
        row, column = top + down * (bottom - top), left + across * (right - left)
        return rgb[round(row), round(column)].astype(int)

    red, green, blue, yellow = at(0.3, 0.3), at(0.3, 0.7), at(0.7, 0.3), at(0.7, 0.7)
    frame = at(0.03, 0.5)
    for seen, made in (
        (red, (200, 40, 40)), (green, (40, 160, 60)), (blue, (40, 70, 200)),
        (yellow, (230, 200, 40)), (frame, (60, 42, 30)),
    ):  # fmt: skip
        shade = seen.sum() / sum(made)  # light dims all channels alike
        assert 0.6 < shade < 1.05
        np.testing.assert_allclose(seen, shade * np.array(made), atol=22)


def test_a_pack_changes_the_picture_and_only_of_its_assets(pack: Path) -> None:
    text = one_object(example_id("Painting"), "ObjaPainting|2|0")
    with_mesh, mesh_ids = look(load_house(text, "a", assets=pack))
    as_proxy, proxy_ids = look(load_house(text, "a"))
    assert (with_mesh != as_proxy).any(axis=2)[mesh_ids == 1].mean() > 0.5
    elsewhere = (mesh_ids == 0) & (proxy_ids == 0)
    np.testing.assert_array_equal(with_mesh[elsewhere], as_proxy[elsewhere])
    other = one_object("f" * 32, "ObjaVase|2|0")
    np.testing.assert_array_equal(
        look(load_house(other, "b", assets=pack))[0], look(load_house(other, "b"))[0]
    )


def test_boxes_types_and_flags_are_those_of_the_mesh(pack: Path) -> None:
    text = one_object(example_id("Mug"), "ObjaVase|2|0", y=0.05)
    (mug,) = load_house(text, "a", assets=pack).objects()
    # Turned by 90 degrees the handle points along z.
    np.testing.assert_allclose(mug["size"], (0.0837, 0.1, 0.1088), atol=1e-4)
    assert mug["pickupable"]
    assert mug["type"] == "Vase", "the object's id says what the house means by it"
    (proxy,) = load_house(text, "a").objects()
    assert proxy["size"] != mug["size"]
    library, meshes = open_assets(pack)
    assert library.size_of(example_id("Mug")) == pytest.approx(mug["size"])
    assert (len(meshes), example_id("Mug") in meshes, "nothing" in meshes) == (2, True, False)


def test_what_blocks_is_the_true_box(pack: Path) -> None:
    """The painting is 0.8 m wide and 3 cm thick; its type's proxy is another size."""
    house = load_house(one_object(example_id("Painting"), "ObjaTable|2|0", y=0.3), "a", assets=pack)
    assert house.blocked(2.35, 2.4, 0.0)
    assert not house.blocked(2.0 + 0.4 + 0.25, 2.4, 0.0)
    assert not house.blocked(2.0, 2.4 + 0.45, 0.0)
    turned = load_house(
        one_object(example_id("Painting"), "ObjaTable|2|0", 0.3, 90.0), "a", assets=pack
    )
    assert turned.blocked(2.0, 2.75, 0.0)
    assert not turned.blocked(2.4, 2.4, 180.0)


def test_levels_of_detail_agree_on_the_outline(pack: Path) -> None:
    """From afar a coarser level is drawn: it covers about the pixels of the full mesh."""
    rgb, ids = look(load_house(one_object(example_id("Mug"), "ObjaMug|2|0"), "a", assets=pack))
    seen = ids == 1
    assert seen.sum() > 100
    colours = rgb[seen].astype(int)
    assert (colours[:, 0] > 1.5 * colours[:, 2]).mean() > 0.3, "red"
    assert (colours.min(axis=1) > 110).mean() > 0.1, "the white band"


def test_the_simulators_reader_takes_every_level(pack: Path, tmp_path: Path) -> None:
    """What Python writes the core accepts, and each changed byte of a payload is found."""
    open_assets(pack)[1].check()
    with PackFile(pack) as opened:
        asset = opened.assets[example_id("Mug")]
    data = bytearray(pack.read_bytes())
    data[asset.payload_offset + asset.payload_size // 2] ^= 4
    path = tmp_path / "x.pack"
    path.write_bytes(data)
    table_path(path).write_bytes(table_path(pack).read_bytes())
    with pytest.raises(HouseFormatError, match=f"asset '{example_id('Mug')}': its data is damaged"):
        open_assets(path)[1].check()
    with pytest.raises(HouseFormatError, match="damaged"):
        load_house(one_object(example_id("Mug"), "ObjaMug|2|0"), "a", assets=path)
    load_house(one_object("f" * 32, "ObjaMug|2|0"), "a", assets=path)  # which does not need it


def test_missing_and_foreign_files_are_named(pack: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no\.pack: cannot be read"):
        load_houses([("a", two_rooms())], assets=tmp_path / "no.pack")
    path = tmp_path / "x.pack"
    path.write_bytes(pack.read_bytes())
    with pytest.raises(UserError, match=r"x\.pack\.json: cannot be read"):
        load_house(two_rooms(), "a", assets=path)
    table_path(path).write_text('{"table_crc": 1, "assets": {}}')
    with pytest.raises(UserError, match="does not belong"):
        load_house(two_rooms(), "a", assets=path)


def test_a_rebuilt_pack_is_opened_anew(tmp_path: Path) -> None:
    folder, _ = write_example(tmp_path / "assets", "Painting")
    config = ConversionConfig(max_texture=8)
    out = tmp_path / "x.pack"
    build_pack([folder], out, config=config)
    first = open_assets(out)
    assert open_assets(out)[1] is first[1]
    asset = read_asset(folder)
    assert simplify(asset.mesh, 10_000).mesh is asset.mesh
    write_example(tmp_path / "assets", "Painting", primary_property="CanPickup")
    build_pack([folder], out, config=config)
    (thing,) = load_house(one_object(folder.name, "ObjaPainting|2|0"), "a", assets=out).objects()
    assert thing["pickupable"]


def test_the_check_of_a_house_file_guesses_no_box_of_the_pack(pack: Path, tmp_path: Path) -> None:
    document = json.loads(one_object(example_id("Mug"), "ObjaMug|2|0"))
    write_houses(tmp_path / "a.jsonl", [document])
    (without,), (with_pack,) = (
        check_file(tmp_path / "a.jsonl", assets=assets) for assets in (None, pack)
    )
    assert dict(without.guessed_sizes) == {"Mug": 1}
    assert with_pack.guessed_sizes == ()
    with pytest.raises(UserError, match="flare assets build"):
        check_file(tmp_path / "a.jsonl", assets=tmp_path / "none.pack")
