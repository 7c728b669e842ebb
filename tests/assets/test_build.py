import json
import shutil
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flare.assets.annotations import TypeNames, read_annotations
from flare.assets.build import BuildReport, build_pack, find_assets
from flare.assets.mesh import Asset, centred
from flare.assets.objathor_format import read_asset
from flare.assets.objathor_writer import write_annotations, write_asset
from flare.assets.pack import PackFile, table_path
from flare.assets.payload import ConversionConfig, convert_asset
from flare.assets.procedural import MeshDraft
from flare.errors import UserError
from tests.assets.example_assets import example_id, write_example

KINDS = ("Chair", "Mug", "Painting")
CONFIG = ConversionConfig(max_triangles=600, min_triangles=150, max_texture=64)


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("assets")
    for kind in KINDS:
        write_example(folder, kind, y_rot_offset=30.0 if kind == "Chair" else 0.0)
    return folder


def build(folder: Path, out: Path, **changes: object) -> BuildReport:
    folders, _ = find_assets(folder)
    options: dict = {"config": CONFIG, **changes}
    return build_pack(folders, out, **options)


def test_a_pack_holds_every_asset_with_its_facts(examples: Path, tmp_path: Path) -> None:
    out = tmp_path / "made" / "x.pack"
    records = {example_id(kind): {"category": kind} for kind in KINDS if kind != "Mug"}
    seen: list[int] = []
    report = build(examples, out, annotations=records, progress=lambda r: seen.append(r.converted))
    assert (report.converted, report.unchanged, report.failed) == (3, 0, [])
    assert seen == [1, 2, 3]
    assert report.pack_bytes == out.stat().st_size
    assert not out.with_name("x.pack.parts").exists()
    with PackFile(out) as pack:
        assert list(pack.assets) == sorted(example_id(kind) for kind in KINDS)
        chair, mug = pack.facts[example_id("Chair")], pack.facts[example_id("Mug")]
        assert (chair["type"], chair["pickupable"], chair["receptacle"]) == ("Chair", False, True)
        assert (mug["type"], mug["pickupable"], mug["mass"]) == ("", True, 0.35)
        _, size = centred(read_asset(examples / example_id("Chair")))
        assert pack.assets[example_id("Chair")].size == pytest.approx(size.tolist(), rel=1e-6)
        assert size[0] == pytest.approx(0.44 * (np.cos(np.pi / 6) + np.sin(np.pi / 6)), rel=1e-5)
        for asset in pack.assets.values():
            assert asset.payload_offset % 64 == 0


def test_payloads_hold_what_the_header_promises(examples: Path) -> None:
    """The layout of csrc/render/asset_mesh.hpp, read back by hand."""
    asset = read_asset(examples / example_id("Mug"))
    payload = convert_asset(asset, CONFIG)
    rows = list(struct.iter_unpack("<QIIfI", payload.data[: 24 * len(payload.triangles)]))
    assert [row[2] for row in rows] == list(payload.triangles)
    errors = [row[3] for row in rows]
    assert errors == sorted(errors, reverse=True)
    _, size = centred(asset)
    for at, vertices, triangles, error, reserved in rows:
        assert (at % 8, vertices % 8, reserved) == (0, 0, 0)
        floats = np.frombuffer(payload.data, "<f4", 5 * vertices, at).reshape(5, vertices)
        normals = np.frombuffer(payload.data, "i1", 4 * vertices, at + 20 * vertices)
        indices = np.frombuffer(payload.data, "<u2", 3 * triangles, at + 24 * vertices)
        assert indices.max() < vertices
        np.testing.assert_allclose(np.ptp(floats[:3], axis=1), size, rtol=1e-4)
        np.testing.assert_allclose(floats[:3].max(axis=1), 0.5 * size, rtol=1e-4)
        lengths = np.linalg.norm(normals.reshape(-1, 4).astype(float), axis=1)
        np.testing.assert_allclose(lengths, 127, atol=1.0)
        assert 0.0 <= error < 0.2
    assert len(rows) == 2 and rows[1][3] < rows[0][3]
    assert (payload.texture_width, payload.texture_height) == (64, 64)
    texels = np.frombuffer(payload.data, "<u4", offset=payload.texture_offset)
    assert len(texels) == sum(4**k for k in range(7))
    # The lower left of the image is the pale inside of the cup, the top is red.
    low, high = texels[5 * 64 + 8], texels[60 * 64 + 8]
    assert [low & 255, low >> 8 & 255, low >> 16] == pytest.approx([228, 214, 190], abs=8)
    assert high & 255 > 170 > 60 > high >> 16


def test_fine_enough_meshes_are_kept_as_they_are(examples: Path) -> None:
    asset = read_asset(examples / example_id("Painting"))
    payload = convert_asset(asset, CONFIG)
    assert payload.triangles[-1] == asset.mesh.num_triangles == 300
    assert payload.data[24 * len(payload.triangles) - 8 :][:4] == bytes(4)  # no error
    assert list(payload.triangles) == sorted(set(payload.triangles))


def test_flat_things_and_emission(tmp_path: Path) -> None:
    draft = MeshDraft()
    sheet = np.array([[[0, 0, 0], [1, 0, 0]], [[0, 2, 0], [1, 2, 0]]], float)
    draft.grid(sheet, (3.0, -7.0, 4.0, -6.0))
    textures = {
        "albedo": np.full((8, 8, 3), 50, np.uint8),
        "emission": np.full((4, 4, 3), (220, 100, 2), np.uint8),
    }
    folder = write_asset(tmp_path, Asset(asset_id="sheet", mesh=draft.mesh()), textures)
    payload = convert_asset(read_asset(folder), CONFIG)
    assert payload.size == pytest.approx((1.0, 2.0, 0.001))
    (texel,) = np.frombuffer(payload.data, "<u4", offset=payload.texture_offset)
    assert [texel & 255, texel >> 8 & 255, texel >> 16] == pytest.approx([255, 150, 50], abs=3)
    ((at, vertices, *_),) = struct.iter_unpack("<QIIfI", payload.data[:24])
    uvs = np.frombuffer(payload.data, "<f4", 2 * vertices, at + 12 * vertices)
    assert (uvs.min(), uvs.max()) == (0.0, 1.0), "shifted by whole repeats"


def test_only_changed_assets_are_converted_again(examples: Path, tmp_path: Path) -> None:
    folder, out = tmp_path / "assets", tmp_path / "x.pack"
    shutil.copytree(examples, folder)
    build(folder, out)
    first = out.read_bytes()
    again = build(folder, out)
    assert (again.converted, again.unchanged) == (0, 3)
    assert out.read_bytes() == first
    write_example(folder, "Painting", mass=9.0)
    changed = build(folder, out)
    assert (changed.converted, changed.unchanged) == (1, 2)
    with PackFile(out) as pack:
        assert pack.facts[example_id("Painting")]["mass"] == 9.0
    shutil.rmtree(folder / example_id("Mug"))
    fewer = build(folder, out)
    assert (fewer.converted, fewer.unchanged) == (0, 2)
    with PackFile(out) as pack:
        assert example_id("Mug") not in pack.assets
    other = build(folder, out, config=replace(CONFIG, max_texture=32))
    assert (other.converted, other.unchanged) == (2, 0)


def test_an_interrupted_build_goes_on_where_it_stopped(examples: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.pack"

    def interrupt(report: BuildReport) -> None:
        if report.converted == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(examples, out, progress=interrupt)
    assert not out.exists()
    rest = build(examples, out)
    assert (rest.converted, rest.unchanged) == (1, 2)
    whole = tmp_path / "whole.pack"
    build(examples, whole, num_workers=2)
    assert out.read_bytes() == whole.read_bytes(), "however it was made"
    assert table_path(out).read_text() == table_path(whole).read_text()


def test_broken_assets_are_left_out_and_listed(examples: Path, tmp_path: Path) -> None:
    folder = tmp_path / "assets"
    shutil.copytree(examples, folder)
    (folder / "empty").mkdir()
    (folder / example_id("Chair") / "albedo.jpg").write_bytes(b"\xff\xd8 cut")
    mesh_file = folder / example_id("Mug") / f"{example_id('Mug')}.msgpack.gz"
    mesh_file.write_bytes(mesh_file.read_bytes()[:-20])
    report = build(folder, tmp_path / "x.pack", num_workers=2)
    assert report.converted == 1
    assert len(report.failed) == 3
    assert any("albedo.jpg: is no image" in each for each in report.failed)
    assert any("msgpack.gz: is damaged" in each for each in report.failed)
    assert any("empty: holds no mesh file" in each for each in report.failed)
    shutil.rmtree(folder / example_id("Painting"))
    with pytest.raises(UserError, match="not one of 3 assets could be converted"):
        build(folder, tmp_path / "y.pack")


def test_assets_are_found_by_folder_or_by_wish(examples: Path, tmp_path: Path) -> None:
    found, missing = find_assets(examples, [example_id("Mug"), "f" * 32, example_id("Mug")])
    assert [each.name for each in found] == [example_id("Mug")]
    assert missing == ["f" * 32]
    with pytest.raises(UserError, match="holds none of the assets"):
        find_assets(tmp_path)
    with pytest.raises(UserError, match="no such folder"):
        find_assets(tmp_path / "nowhere")


@pytest.fixture(scope="module")
def small_pack(examples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("pack") / "x.pack"
    build_pack([examples / example_id("Painting")], out, config=ConversionConfig(max_texture=4))
    return out


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(at=st.integers(0, 10**6), bit=st.integers(0, 7), cut=st.integers(0, 300))
def test_damaged_packs_are_refused(
    small_pack: Path, tmp_path: Path, at: int, bit: int, cut: int
) -> None:
    data = bytearray(small_pack.read_bytes())
    at %= len(data)
    data[at] ^= 1 << bit
    path = tmp_path / "x.pack"
    path.write_bytes(data[: len(data) - cut])
    shutil.copy(table_path(small_pack), table_path(path))
    unused = range(44, 48)  # the header's reserved word
    gap = range(48 + 72 + 32, 192)  # between names and payload
    try:
        with PackFile(path) as pack:
            pack.payload(example_id("Painting"))
        assert cut == 0 and (at in unused or at in gap)
    except UserError as error:
        assert error.file == str(path)


def test_a_table_of_another_pack_is_refused(small_pack: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.pack"
    shutil.copy(small_pack, path)
    with pytest.raises(UserError, match=r"x\.pack\.json: is missing or damaged"):
        PackFile(path)
    table = json.loads(table_path(small_pack).read_text())
    table["table_crc"] += 1
    table_path(path).write_text(json.dumps(table))
    with pytest.raises(UserError, match=r"x\.pack\.json: does not belong to this x\.pack"):
        PackFile(path)


@pytest.mark.parametrize(
    "changes",
    [{"max_triangles": 1}, {"max_triangles": 30_000}, {"min_triangles": 9000}, {"max_texture": 96}],
)
def test_settings_that_no_pack_holds_are_refused(changes: dict[str, int]) -> None:
    with pytest.raises(UserError, match="max_t"):
        ConversionConfig(**changes)


def test_annotations_and_types(tmp_path: Path) -> None:
    file = tmp_path / "annotations.json.gz"
    write_annotations(file, {"a": {"synset": "coffee_mug.n.01"}, "b": {}})
    assert read_annotations(file) == {"a": {"synset": "coffee_mug.n.01"}, "b": {}}
    names = TypeNames()
    assert names.of_record({"synset": "coffee_mug.n.01"}) == "Mug"
    assert names.of_record({"category": "trash can"}) == "GarbageCan"
    assert names.of_record({"category": "ObjaSofa", "synset": "mug.n.04"}) == "Sofa"
    assert names.of_record({"category": 7, "most_specific_lemma": "house_plant"}) == "HousePlant"
    assert names.of_record({"most_specific_lemma": "xylophone"}) == ""
    for text, what in (("[]", "is not a map"), ("{", "is not JSON"), ('{"a": 1}', "a: is a int")):
        plain = tmp_path / "annotations.json"
        plain.write_text(text)
        with pytest.raises(UserError, match=what):
            read_annotations(plain)
