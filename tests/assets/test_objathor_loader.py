"""Whether objathor's own loader reads what is exported; run it where objathor is installed:

python -m pytest -m objathor tests/assets
"""

import json
from pathlib import Path

import pytest

from tests.assets.example_assets import write_example

pytestmark = pytest.mark.objathor

# objathor 0.0.8 cannot read .json.gz back: it returns the file's text in quotes.
LOADABLE = [".json", ".msgpack", ".msgpack.gz", ".pkl.gz"]


@pytest.mark.parametrize("encoding", LOADABLE)
def test_objathor_loads_our_folders(tmp_path: Path, encoding: str) -> None:
    util = pytest.importorskip("objathor.asset_conversion.util", reason="pip install objathor")
    folder, wrote = write_example(tmp_path, "Mug", encoding)
    loaded = util.load_existing_thor_asset_file(str(folder), folder.name)
    assert len(loaded["vertices"]) == 3 * wrote.mesh.num_triangles
    moved = util.change_asset_paths(loaded, "/target")
    assert moved["albedoTexturePath"] == f"/target/{folder.name}/albedo.jpg"
    annotated = util.add_default_annotations(moved, str(folder))["annotations"]
    assert annotated["primaryProperty"] == "CanPickup"
    metadata = util.load_existing_thor_metadata_file(str(folder))
    assert metadata == json.loads((folder / "thor_metadata.json").read_text())
