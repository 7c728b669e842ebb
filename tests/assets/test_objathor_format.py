import gzip
import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flare.assets.encodings import ENCODINGS, read_document, write_document
from flare.assets.mesh import Asset
from flare.assets.objathor_format import read_asset
from flare.assets.objathor_writer import box_colliders, visibility_points, write_asset
from flare.assets.procedural import GENERATORS, MeshDraft
from flare.assets.textures import read_texture
from flare.errors import UserError
from tests.assets.example_assets import example_id, write_example

ID = "00112233445566778899aabbccddeeff"
SETTINGS: dict[str, Any] = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture],
}


def box_document(**changes: Any) -> dict[str, Any]:
    """One triangle and all keys of a mesh file."""
    document: dict[str, Any] = {
        "name": ID,
        "vertices": [{"x": 0.0, "y": 0.0, "z": 0.0}, {"x": 0, "y": 1, "z": 0},
                     {"x": 1.0, "y": 0.0, "z": 0.5}],
        "normals": [{"x": 0.0, "y": 0.0, "z": -2.0}] * 3,
        "uvs": [{"x": 0.0, "y": 0.0}, {"x": 0.0, "y": 1.0}, {"x": 1.0, "y": 0.0}],
        "triangles": [0, 1, 2],
        "albedoTexturePath": "/where/it/was/made/albedo.jpg",
        "yRotOffset": -10.0,
        "receptacleCandidate": True,
        "physicalProperties": {"mass": 2.5},
        "colliders": [{"vertices": [{"x": 0, "y": 0, "z": 0}] * 3, "triangles": [0, 1, 2]}],
        "visibilityPoints": [{"x": 0.1, "y": 0.2, "z": 0.0}],
        "annotations": {"objectType": "Undefined"},
    }  # fmt: skip
    return document | changes


def write_folder(parent: Path, document: dict[str, Any], encoding: str = ".json") -> Path:
    folder = parent / ID
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write_document(folder / f"{ID}{encoding}", document)
    (folder / "albedo.jpg").write_bytes(b"decoded elsewhere")
    return folder


@pytest.mark.parametrize(
    ("kind", "encoding"),
    [(kind, ".msgpack.gz") for kind in GENERATORS] + [("Painting", each) for each in ENCODINGS],
)
def test_what_is_written_is_read_back(tmp_path: Path, kind: str, encoding: str) -> None:
    folder, wrote = write_example(tmp_path, kind, encoding, y_rot_offset=12.5)
    read = read_asset(folder)
    corners = wrote.mesh.triangles.ravel()
    np.testing.assert_array_equal(read.mesh.vertices, wrote.mesh.vertices[corners])
    np.testing.assert_array_equal(read.mesh.uvs, wrote.mesh.uvs[corners])
    np.testing.assert_allclose(read.mesh.normals, wrote.mesh.normals[corners], atol=1e-6)
    np.testing.assert_array_equal(read.mesh.triangles.ravel(), np.arange(len(corners)))
    assert (read.asset_id, read.y_rot_offset) == (example_id(kind), 12.5)
    assert read.mass == wrote.mass
    assert read.primary_property == wrote.primary_property
    assert read.secondary_properties == wrote.secondary_properties
    assert set(read.textures) == {"albedo", "normal", "emission"}
    albedo = read_texture(read.textures["albedo"])
    _, texture = GENERATORS[kind]()
    assert albedo.shape == texture.shape
    assert np.abs(albedo.astype(int) - texture).mean() < 4.0  # JPEG


def test_values_by_hand(tmp_path: Path) -> None:
    asset = read_asset(write_folder(tmp_path, box_document()))
    np.testing.assert_array_equal(asset.mesh.vertices, [[0, 0, 0], [0, 1, 0], [1, 0, 0.5]])
    np.testing.assert_array_equal(asset.mesh.normals, [[0, 0, -1]] * 3)
    np.testing.assert_array_equal(asset.mesh.triangles, [[0, 1, 2]])
    assert asset.textures == {"albedo": tmp_path / ID / "albedo.jpg"}
    assert (asset.y_rot_offset, asset.mass, asset.is_receptacle) == (-10.0, 2.5, True)
    assert asset.is_pickupable, "the default without thor_metadata.json"
    assert len(asset.colliders) == 1
    assert asset.visibility_points.shape == (1, 3)


def test_the_first_encoding_wins_and_pickle_is_last(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, box_document(yRotOffset=1.0), ".pkl.gz")
    assert read_asset(folder).y_rot_offset == 1.0
    write_document(folder / f"{ID}.msgpack.gz", box_document(yRotOffset=2.0))
    assert read_asset(folder).y_rot_offset == 2.0
    write_document(folder / f"{ID}.json", box_document(yRotOffset=3.0))
    assert read_asset(folder).y_rot_offset == 3.0


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_pickles_of_arrays_load(tmp_path: Path, protocol: int) -> None:
    arrays = box_document(
        vertices=np.array([[0, 0, 0], [0, 1, 0], [1, 0, 0]], np.float32),
        uvs=np.asfortranarray(np.array([[0, 0], [0, 1], [1, 0]], np.float64)),
        triangles=np.array([0, 1, 2], ">i4"),
        yRotOffset=np.float64(7.0),
        colliders=[{"vertices": np.eye(3), "triangles": np.arange(3)}],
    )
    folder = write_folder(tmp_path, box_document(), ".pkl.gz")
    file = folder / f"{ID}.pkl.gz"
    file.write_bytes(gzip.compress(pickle.dumps(arrays, protocol)))
    if protocol in (2, 5):  # these write arrays by calling codecs and buffers
        with pytest.raises(UserError, match="pickle"):
            read_asset(folder)
        return
    asset = read_asset(folder)
    np.testing.assert_array_equal(asset.mesh.vertices, arrays["vertices"])
    np.testing.assert_array_equal(asset.mesh.uvs, arrays["uvs"])
    np.testing.assert_array_equal(asset.mesh.triangles, [[0, 1, 2]])
    assert asset.y_rot_offset == 7.0


class Evil:
    def __reduce__(self) -> Any:
        return print, ("executed",)


def bomb() -> bytes:
    """A pickle of 20 bytes that asks for 32 GiB of slots."""
    return b"\x80\x04}r" + (2**31 - 1).to_bytes(4, "little") + b"."


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (pickle.dumps({"name": Evil()}), "calls builtins.print"),
        (pickle.dumps({"name": np.array(["a"], object)}, 4), "an array of"),
        (bomb(), "forbidden opcode b'r'"),
        (b"cos\nsystem\n(S'true'\ntR.", "forbidden opcode"),
        (b"\x80\x04}", "without an end"),
        (b"", "without an end"),
        (pickle.dumps([1]), "holds a list, not a map"),
        (b"\x80\x04e.", "not a pickle of a mesh"),
    ],
    ids=["call", "objects", "bomb", "old opcodes", "cut", "empty", "no map", "nonsense"],
)
def test_pickles_are_not_trusted(
    tmp_path: Path, data: bytes, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_folder(tmp_path, box_document(), ".pkl.gz")
    (folder / f"{ID}.pkl.gz").write_bytes(gzip.compress(data))
    with pytest.raises(UserError, match=what) as caught:
        read_asset(folder)
    assert str(caught.value).startswith(str(folder / f"{ID}.pkl.gz"))
    assert "executed" not in capsys.readouterr().out


BAD_VALUES = [
    ("vertices", None, "vertices: is None, not a list"),
    ("vertices", [], "vertices: has 0 entries"),
    ("vertices", [{"x": 1, "y": 2}] * 3, "vertices: is not a list of"),
    ("vertices", [[1, 2]] * 3, "vertices: has shape"),
    ("vertices", [{"x": float("nan"), "y": 0, "z": 0}] * 3, r"vertices\[0\]: is not finite"),
    ("vertices", [{"x": 1e300, "y": 0, "z": 0}] * 3, r"vertices\[0\]: is not finite"),
    ("vertices", [{"x": i * 500.0, "y": 0, "z": 0} for i in range(3)], "vertices: span 1000 m"),
    ("vertices", [{"x": 1.0, "y": 0, "z": 0}] * 3, "vertices: span 0 m"),
    ("vertices", [{"x": 0.1 * i, "y": 0, "z": 0} for i in range(3)], "triangles: have no area"),
    ("normals", [{"x": 0, "y": 1, "z": 0}], "normals: has 1 entries for 3 vertices"),
    ("uvs", [{"x": 0, "y": 1}] * 4, "uvs: has 4 entries for 3 vertices"),
    ("uvs", 7, "uvs: is 7, not a list"),
    ("triangles", [], "triangles: has 0 indices"),
    ("triangles", [0, 1], "triangles: has 2 indices"),
    ("triangles", [0, 1, 3], r"triangles\[2\]: is 3, but there are 3 vertices"),
    ("triangles", [0, -1, 2], r"triangles\[1\]: is -1"),
    ("triangles", [0, 1, 1.5], "triangles: is not a list of indices"),
    ("triangles", ["a", "b", "c"], "triangles: is not a list of indices"),
    ("triangles", [0, 1, 2**70], "triangles"),
    ("albedoTexturePath", None, "albedoTexturePath: is None, not a path"),
    ("albedoTexturePath", "other.jpg", "albedoTexturePath: there is no other.jpg in the folder"),
    ("emissionTexturePath", "x/emission.jpg", "emissionTexturePath: there is no emission.jpg"),
    ("yRotOffset", "ten", "yRotOffset: is 'ten', not a number"),
    ("yRotOffset", 1e9, "yRotOffset: is 1000000000.0, not a number up to 360"),
    ("receptacleCandidate", "maybe", "receptacleCandidate: is 'maybe'"),
    ("physicalProperties", {"mass": -1e9}, "physicalProperties.mass: is -1000000000.0"),
    ("colliders", [3], r"colliders\[0\]: is 3, not a map"),
    ("colliders", [{"vertices": [{"x": 0, "y": 0, "z": 0}], "triangles": [0, 0, 1]}],
     r"colliders\[0\].triangles\[2\]: is 1, but there are 1 vertices"),
    ("visibilityPoints", {}, "visibilityPoints: is a dict, not a list"),
    ("name", "another", "name: is 'another', the folder is"),
]  # fmt: skip


@pytest.mark.parametrize(("key", "value", "what"), BAD_VALUES)
def test_a_bad_value_names_file_key_and_mend(
    tmp_path: Path, key: str, value: Any, what: str
) -> None:
    folder = write_folder(tmp_path, box_document(), ".json")
    text = json.dumps(box_document(**{key: value}))
    (folder / f"{ID}.json").write_text(text)
    with pytest.raises(UserError, match=what) as caught:
        read_asset(folder)
    assert caught.value.file == str(folder / f"{ID}.json")
    assert caught.value.key is not None
    assert "Mend: " in str(caught.value)


@pytest.mark.parametrize("key", ["vertices", "normals", "uvs", "triangles", "albedoTexturePath"])
def test_a_missing_key_is_named(tmp_path: Path, key: str) -> None:
    document = box_document()
    del document[key]
    with pytest.raises(UserError, match=key):
        read_asset(write_folder(tmp_path, document))


def test_missing_folders_and_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        read_asset(tmp_path / ID)
    (tmp_path / ID).mkdir()
    with pytest.raises(UserError, match=f"holds no mesh file {ID}.pkl.gz"):
        read_asset(tmp_path / ID)


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"assetMetadata": 3}', '{"assetMetadata": {"primaryProperty": 1}}']
)
def test_broken_metadata_is_named(tmp_path: Path, text: str) -> None:
    folder = write_folder(tmp_path, box_document())
    (folder / "thor_metadata.json").write_text(text)
    with pytest.raises(UserError, match=r"thor_metadata\.json: "):
        read_asset(folder)


@pytest.fixture(scope="module")
def small_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The mesh file of one box in every encoding."""
    draft = MeshDraft()
    draft.box((0, 0, 0), (0.1, 0.2, 0.3))
    folder = tmp_path_factory.mktemp("made")
    texture = np.full((4, 4, 3), 90, np.uint8)
    out = {}
    for encoding in ENCODINGS:
        made = write_asset(folder, Asset(asset_id=ID, mesh=draft.mesh()), {"albedo": texture},
                           encoding)  # fmt: skip
        out[encoding] = (made / f"{ID}{encoding}").read_bytes()
        out["albedo"] = (made / "albedo.jpg").read_bytes()
    return out


def loads_or_explains(folder: Path) -> None:
    try:
        asset = read_asset(folder)
        assert asset.mesh.num_triangles > 0
        assert np.isfinite(asset.mesh.vertices).all()
        read_texture(asset.textures["albedo"])
    except UserError as error:
        assert str(error).startswith(str(folder))
        assert error.mend


def mutated(data: bytes, edits: list[tuple[int, int]], cut: int) -> bytes:
    out = bytearray(data)
    for at, value in edits:
        out[at % len(out)] = value
    return bytes(out[: len(out) - cut % (len(out) + 1)] if cut else out)


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    encoding=st.sampled_from(ENCODINGS),
    inside=st.booleans(),
    edits=st.lists(st.tuples(st.integers(0, 2**20), st.integers(0, 255)), max_size=4),
    cut=st.one_of(st.just(0), st.integers(0, 4000)),
)
def test_damaged_mesh_files_load_or_give_our_error(
    tmp_path: Path, small_files: dict[str, bytes], encoding: str, inside: bool,
    edits: list[tuple[int, int]], cut: int,
) -> None:  # fmt: skip
    data = small_files[encoding]
    if inside and encoding.endswith(".gz"):  # past the checksum of gzip
        data = gzip.compress(mutated(gzip.decompress(data), edits, cut), 1)
    else:
        data = mutated(data, edits, cut)
    folder = tmp_path / ID
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / f"{ID}{encoding}").write_bytes(data)
    for name in ("albedo", "normal", "emission"):
        (folder / f"{name}.jpg").write_bytes(small_files["albedo"])
    loads_or_explains(folder)


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    edits=st.lists(st.tuples(st.integers(0, 2**20), st.integers(0, 255)), max_size=6),
    cut=st.one_of(st.just(0), st.integers(0, 700)),
)
def test_damaged_textures_load_or_give_our_error(
    tmp_path: Path, small_files: dict[str, bytes], edits: list[tuple[int, int]], cut: int
) -> None:
    folder = write_folder(tmp_path, box_document())
    (folder / "albedo.jpg").write_bytes(mutated(small_files["albedo"], edits, cut))
    loads_or_explains(folder)


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["x", "y", "z", "mass", "vertices", "triangles"]), inner)
    ),
    max_leaves=12,
)


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(key=st.sampled_from(sorted(box_document())), value=plain)
def test_any_value_of_any_key_loads_or_gives_our_error(
    tmp_path: Path, key: str, value: Any
) -> None:
    folder = tmp_path / ID
    folder.mkdir(exist_ok=True)
    (folder / "albedo.jpg").write_bytes(b"not looked at")
    (folder / f"{ID}.json").write_text(json.dumps(box_document(**{key: value})))
    try:
        read_asset(folder)
    except UserError as error:
        assert error.key is not None


def test_visibility_points_lie_on_the_surface_one_per_voxel() -> None:
    draft = MeshDraft()
    draft.box((0, 0, 0), (0.3, 0.3, 1.2))
    mesh = draft.mesh()
    points = visibility_points(mesh)
    np.testing.assert_array_equal(points, visibility_points(mesh))
    on_side = np.isclose(points, 0.0, atol=1e-6) | np.isclose(points, [0.3, 0.3, 1.2], atol=1e-6)
    assert on_side.any(axis=1).all()
    # 6 x 6 x 12 voxels (12 along the long side of 1.2 m: 10 cm); those on the outside: all but
    # 4 x 4 x 10.
    assert 0.8 * (6 * 6 * 12 - 4 * 4 * 10) < len(points) <= 6 * 6 * 12 - 4 * 4 * 10


def test_colliders_are_the_boxes_of_the_parts() -> None:
    draft = MeshDraft()
    draft.box((0, 0, 0), (1, 1, 1), cells=3)
    draft.box((2, 0, 0), (3, 0.5, 1), cells=2)
    boxes = box_colliders(draft.mesh())
    spans = sorted((*part.vertices.min(axis=0), *part.vertices.max(axis=0)) for part in boxes)
    assert spans == [(0, 0, 0, 1, 1, 1), (2, 0, 0, 3, 0.5, 1)]
    for part in boxes:
        corners = part.vertices[part.triangles]
        normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        outward = corners.mean(axis=1) - part.vertices.mean(axis=0)
        assert (np.einsum("ij,ij->i", normals, outward) > 0).all()


def test_written_documents_are_plain_and_complete(tmp_path: Path) -> None:
    folder, _ = write_example(tmp_path, "Mug", ".json")
    document = read_document(folder / f"{folder.name}.json")
    keys = "name receptacleCandidate albedoTexturePath normalTexturePath emissionTexturePath"
    keys += " vertices triangles normals uvs visibilityPoints colliders yRotOffset"
    assert set(document) == {*keys.split(), "physicalProperties"}
    assert document["albedoTexturePath"] == "albedo.jpg"
    assert set(document["vertices"][0]) == {"x", "y", "z"}
    metadata = json.loads((folder / "thor_metadata.json").read_text())["assetMetadata"]
    assert metadata["boundingBox"]["max"]["y"] == pytest.approx(0.1)
    assert metadata["secondaryProperties"] == ["Receptacle"]


def test_the_same_asset_gives_the_same_bytes(tmp_path: Path) -> None:
    for encoding in (".json.gz", ".msgpack.gz", ".pkl.gz"):
        one, _ = write_example(tmp_path / "a", "Painting", encoding)
        other, _ = write_example(tmp_path / "b", "Painting", encoding)
        for file in one.iterdir():
            assert file.read_bytes() == (other / file.name).read_bytes(), file.name
