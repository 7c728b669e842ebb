"""Fixtures that tests of several folders share."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """Golden numbers and real house files: $FLARE_SHARED, else ``shared`` beside the checkout."""
    place = Path(os.environ.get("FLARE_SHARED", Path(__file__).parents[2] / "shared"))
    if not place.is_dir():
        pytest.skip(f"no shared folder at {place}; set FLARE_SHARED")
    return place
