"""Where the tests find the program and what they play in."""

import json
import sys
from pathlib import Path

from tests.worlds.two_rooms import two_rooms

PROGRAM = Path(sys.executable).parent / "flare-thor"


def furnished() -> str:
    """Two rooms with an apple on the floor beside the start, within the arm's reach."""
    house = json.loads(two_rooms())
    apple = {
        "id": "Apple|2|1",
        "assetId": "Apple_1",
        "position": {"x": 2.1, "y": 0.05, "z": 0.85},
        "rotation": {"x": 0, "y": 0, "z": 0},
        "kinematic": False,
    }
    house["objects"].append(apple)
    return json.dumps(house)
