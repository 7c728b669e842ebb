import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder of goldens and house files: $FLARE_SHARED, else ../shared; skips without it."""
    default = Path(__file__).resolve().parents[1].parent / "shared"
    folder = Path(os.environ.get("FLARE_SHARED", default))
    if not folder.is_dir():
        pytest.skip(f"no shared folder at {folder}; set FLARE_SHARED")
    return folder
