import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flare.asset_commands import asset_ids
from flare.assets.locations import annotations_file, assets_folder, data_folder
from flare.assets.pack import PackFile
from flare.cli import main
from flare.errors import UserError
from flare.houses.files import write_houses
from tests.assets.example_assets import example_id

FAST = ["--conversion.max-triangles", "400", "--conversion.max-texture", "32", "--num-workers", "1"]


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample")
    assert main(["assets", "sample", "--out", str(folder)]) == 0
    for kind in ("HousePlant", "Mug"):  # to be quick
        shutil.rmtree(folder / "assets" / example_id(kind))
    return folder


@pytest.fixture(scope="module")
def pack(sample: Path) -> Path:
    out = sample / "all.pack"
    assert (
        main(["assets", "build", "--assets", str(sample / "assets"), "--out", str(out), *FAST]) == 0
    )
    return out


def test_build_takes_types_from_the_annotations_beside_the_assets(
    pack: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with PackFile(pack) as opened:
        types = {facts["type"] for facts in opened.facts.values()}
    assert types == {"Chair", "Painting"}
    again = ["assets", "build", "--assets", str(pack.parent / "assets"), "--out", str(pack), *FAST]
    assert main(again) == 0
    printed = capsys.readouterr().out
    assert "2/2 assets (100%)" in printed
    assert "0 converted, 2 unchanged, 0 broken" in printed


def test_build_of_the_assets_of_some_houses(
    sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    child = {"assetId": example_id("Painting")}
    houses = [{"objects": [{"assetId": "Bed_1", "children": [child]}, {"assetId": "../x"}]}]
    write_houses(tmp_path / "h.jsonl.gz", houses)
    assert asset_ids([tmp_path / "h.jsonl.gz"]) == {"Bed_1", example_id("Painting")}
    out = tmp_path / "x.pack"
    flags = ["--assets", str(sample / "assets"), "--out", str(out), *FAST]
    assert main(["assets", "build", *flags, "--subset", str(tmp_path / "h.jsonl.gz")]) == 0
    assert "1 assets of these houses have no folder" in capsys.readouterr().out
    with PackFile(out) as opened:
        assert list(opened.assets) == [example_id("Painting")]


def test_broken_assets_give_exit_code_1_and_are_listed(
    sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "assets"
    shutil.copytree(sample / "assets" / example_id("Painting"), folder / example_id("Painting"))
    (folder / "broken").mkdir()
    out = tmp_path / "x.pack"
    assert main(["assets", "build", "--assets", str(folder), "--out", str(out), *FAST]) == 1
    printed = capsys.readouterr().out
    assert f"BROKEN  {folder / 'broken'}: holds no mesh file" in printed
    assert "1 converted, 0 unchanged, 1 broken" in printed
    assert main(["assets", "check", str(folder)]) == 1
    assert "1 of 2 assets" in capsys.readouterr().out


def test_check_of_a_folder_and_of_a_pack(
    sample: Path, pack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["assets", "check", str(sample / "assets")]) == 0
    assert "2 of 2 assets" in capsys.readouterr().out
    assert main(["assets", "check", str(pack)]) == 0
    assert f"2 assets of {pack} are whole" in capsys.readouterr().out
    assert main(["assets", "check", str(tmp_path / "none.pack")]) == 2
    assert "none.pack: cannot be read" in capsys.readouterr().err


def test_show_draws_each_asset(pack: Path, tmp_path: Path) -> None:
    out = tmp_path / "sheet.png"
    assert main(["assets", "show", str(pack), "--out", str(out), "--cell", "96"]) == 0
    image = np.asarray(Image.open(out).convert("RGB")).astype(int)
    assert image.shape == (96 + 28, 2 * 96, 3)
    chair, painting = image[:96, :96], image[:96, 96:]
    blue = chair[..., 2] - chair[..., 0]
    assert (blue > 40).mean() > 0.1, "the seat"
    red, green = painting[..., 0], painting[..., 1]
    assert (red - green > 70).any()
    assert (green - red > 70).any()
    one = ["assets", "show", str(pack), "--out", str(out), "--ids", "no_such"]
    assert main(one) == 2


def test_places_of_the_downloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OBJAVERSE_ASSETS_DIR", "OBJAVERSE_ANNOTATIONS_PATH", "OBJAVERSE_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert data_folder() == tmp_path / ".objathor-assets" / "2023_07_28"
    monkeypatch.setenv("OBJAVERSE_DATA_DIR", str(tmp_path / "data"))
    assets = tmp_path / "data" / "2023_07_28" / "assets"
    with pytest.raises(UserError, match="OBJAVERSE_ASSETS_DIR: there is no such folder"):
        assets_folder(None)
    assets.mkdir(parents=True)
    assert assets_folder(None) == assets
    assert annotations_file(None, assets) is None
    (assets.parent / "annotations.json.gz").write_bytes(b"")
    assert annotations_file(None, assets) == assets.parent / "annotations.json.gz"
    monkeypatch.setenv("OBJAVERSE_ASSETS_DIR", str(tmp_path))
    assert assets_folder(None) == tmp_path
    assert assets_folder(assets) == assets
    monkeypatch.setenv("OBJAVERSE_ANNOTATIONS_PATH", str(tmp_path / "none.json.gz"))
    with pytest.raises(UserError, match="OBJAVERSE_ANNOTATIONS_PATH: there is no such file"):
        annotations_file(None, assets)


def test_the_world_config_names_a_pack(pack: Path, tmp_path: Path) -> None:
    from flare.assembly import WorldConfig, load_house_file
    from flare.config import from_dict, to_dict
    from tests.worlds.two_rooms import two_rooms

    config = WorldConfig(assets=pack)
    assert from_dict(json.loads(json.dumps(to_dict(config))), WorldConfig) == config
    house = json.loads(two_rooms())
    house["objects"][0]["assetId"] = example_id("Chair")
    write_houses(tmp_path / "h.jsonl.gz", [house])
    (loaded,) = load_house_file(tmp_path / "h.jsonl.gz", assets=config.assets)
    assert loaded.objects()[0]["size"] == pytest.approx((0.44, 0.9, 0.44), abs=1e-4)
