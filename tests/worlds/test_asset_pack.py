"""Packs that flare.assets writes, as the simulator draws from them."""

from pathlib import Path

import numpy as np
import pytest

from flare.assets.objathor_format import read_asset
from flare.assets.pack import Entry, write_pack
from flare.assets.payload import ConversionConfig, convert_asset
from flare.specs import CameraSpec
from flare.worlds.embedded import (
    EPISODE_DTYPE,
    AssetPack,
    EmbeddedWorlds,
    HouseFormatError,
    load_house,
)
from flare.worlds.world import all_env_ids
from tests.assets.example_assets import write_example
from tests.worlds.two_rooms import two_rooms

CAMERA = CameraSpec(width=168, height=96)


@pytest.fixture
def pack_file(tmp_path: Path) -> Path:
    """A pack with one asset, a chair, under the id of the house's sofa."""
    folder, _ = write_example(tmp_path, "Chair")
    payload = convert_asset(read_asset(folder), ConversionConfig(max_triangles=512))
    path = tmp_path / "one.pack"
    write_pack(path, [Entry("Sofa_203_1", 1, "Chair", lambda: payload)])
    return path


def draw(assets: Path | None) -> tuple[np.ndarray, np.ndarray]:
    """The sofa of the two rooms from 2 m away: colours and ids."""
    house = load_house(two_rooms(), "two rooms", assets=assets)
    sofa = [object_["id"] for object_ in house.objects()].index("Sofa|2|0")
    worlds = EmbeddedWorlds([house], num_envs=1, camera=CAMERA)
    specs = np.zeros(1, EPISODE_DTYPE)
    specs["x"], specs["z"] = 2.0, 1.5
    frames = np.zeros((1, *CAMERA.frame_shape), np.uint8)
    facts = np.zeros(1, worlds.facts_dtype)
    worlds.reset(all_env_ids(1), specs, frames, facts)
    rgb, _, ids = worlds.render(ids=True)
    worlds.close()
    assert ids is not None
    return rgb[0], ids[0] == sofa + 1


def test_an_asset_of_the_pack_is_drawn_with_its_mesh(pack_file: Path) -> None:
    """The chair's blue back and seat in place of the sofa's purple body, and fewer pixels."""
    pack = AssetPack.open(str(pack_file))
    pack.check()
    assert len(pack) == 1 and "Sofa_203_1" in pack and "Sofa_203_2" not in pack
    rgb, is_thing = draw(pack_file)
    proxy_rgb, is_proxy = draw(None)
    assert 100 < np.count_nonzero(is_thing) < np.count_nonzero(is_proxy)
    blue = rgb[is_thing].mean(axis=0)
    assert blue[2] > 1.3 * blue[0]
    assert proxy_rgb[is_proxy].mean(axis=0)[0] > blue[0]


def test_a_damaged_pack_is_refused_by_name(pack_file: Path) -> None:
    """A changed byte of a payload is found when the asset is needed, a cut file at once."""
    data = bytearray(pack_file.read_bytes())
    data[-5] ^= 1
    pack_file.write_bytes(data)
    with pytest.raises(
        HouseFormatError, match=r"one\.pack: asset 'Sofa_203_1': its data is damaged"
    ):
        draw(pack_file)
    pack_file.write_bytes(data[:-64])
    with pytest.raises(HouseFormatError, match="file_size"):
        AssetPack.open(str(pack_file))
