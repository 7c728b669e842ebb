import colorsys
import itertools
import json

from flare.assets import library_json
from flare.assets.build_library import build_library
from flare.assets.looks import GOAL_TYPES, LOOKS, ON_WALL
from flare.houses.library import asset_size, assets_of, categories, find_asset, synonyms


def test_the_file_is_small_and_sorted():
    assert len(library_json().encode()) < 200_000
    types = [entry["type"] for entry in json.loads(library_json())["categories"]]
    assert types == sorted(set(types))


def test_every_type_has_a_positive_size_and_assets_have_theirs():
    for entry in categories().values():
        assert all(0.0 < side < 5.0 for side in entry["size"])
    assert asset_size("Apple_1")[1] > 0.05
    assert find_asset("no_such") is None
    assert {asset.type for asset in assets_of("Bed")} == {"Bed"}
    assert assets_of("Spaceship") == ()


def test_synonyms_lead_to_types():
    assert set(synonyms().values()) <= set(categories())
    assert not set(synonyms()) & set(categories())
    assert synonyms()["TrashCan"] == "GarbageCan"


def test_goals_look_unlike_each_other():
    """Two goals of one shape family differ clearly in colour: 84x48 pixels show little else."""
    for one, other in itertools.combinations(GOAL_TYPES, 2):
        a, b = LOOKS[one], LOOKS[other]
        distance = sum((x - y) ** 2 for x, y in zip(a.rgb, b.rgb, strict=True)) ** 0.5
        assert distance > (0.4 if a.shape == b.shape else 0.2), (one, other)


def test_furniture_is_muted_beside_vivid_goals():
    small_goals = set(GOAL_TYPES) - {"Toilet", "Television", "GarbageCan", "Chair", "Sofa", "Bed"}
    for name, look in LOOKS.items():
        saturation = colorsys.rgb_to_hsv(*look.rgb)[1] if look.rgb else 0.0
        if name in small_goals:
            assert saturation > 0.7, name
        elif name not in GOAL_TYPES:
            assert saturation < 0.66, name


def test_the_builder_by_hand():
    facts = {
        "Apple_1": {"type": "Apple", "size": [0.1, 0.2, 0.1], "primary": "CanPickup"},
        "Apple_2": {"type": "Apple", "size": [0.3, 0.2, 0.2], "primary": "CanPickup"},
    }
    placements = {
        "x": {"type": "ObjaCart", "center_y": 0.4},
        "y": {"type": "ObjaRazor"},
        "z": {"type": "ObjaPoster", "center_y": 1.7},
        "w": {"type": "ObjaTrashCan", "center_y": 0.3},
    }
    apple, cart, poster, razor = build_library(facts, placements)["categories"]
    assert apple["size"] == [0.2, 0.2, 0.15]
    assert apple["pickupable"]
    assert cart["size"][1] == 0.8  # twice the centre's height
    assert poster["on_wall"]
    assert poster["size"][1] < 1.0  # its height above the floor says nothing
    assert razor["pickupable"]
    assert "Poster" in ON_WALL
