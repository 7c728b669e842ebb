"""Labels of views against what the simulator says of every pixel."""

import json

import numpy as np
import pytest
import torch

from flare.assembly import TaskConfig, WorldConfig, make_sampler, make_worlds
from flare.houses.generator import GeneratorConfig, generate_house
from flare.recipes.encoder import LabelledViews
from flare.specs import CameraSpec
from flare.worlds.embedded import load_house

TYPES = ("Bed", "Sofa")


@pytest.mark.parametrize("num_cameras", [1, 2])
def test_labels_belong_to_their_camera(num_cameras):
    config = GeneratorConfig(num_rooms=(2, 2), goal_types=TYPES, num_goal_types=2)
    documents = [generate_house(0, "train", i, config) for i in range(2)]
    houses = [load_house(json.dumps(d), f"house {i}") for i, d in enumerate(documents)]
    camera = CameraSpec(width=42, height=24, num_cameras=num_cameras)
    world = WorldConfig(num_envs=4, num_threads=1, camera=camera).for_tasks(TaskConfig().build())
    worlds, task = make_worlds(houses, world), TaskConfig()
    sampler = make_sampler(houses, task, 0)
    views = LabelledViews(worlds, houses, sampler, TYPES, (3, 5))
    frames, presence, inverse = views.batch(1)
    assert frames.shape == (4, num_cameras, 24, 42, 3)
    assert presence.shape == (4 * num_cameras, 2, 3, 5)
    specs = sampler.sample(np.arange(4), np.ones(4, np.int64)).specs
    for which in range(num_cameras):
        _, depth, ids = worlds.render(None, which, depth=True, ids=True)
        mean = torch.nn.functional.adaptive_avg_pool2d(
            torch.from_numpy(1.0 / np.maximum(depth, 0.25))[:, None], (3, 5)
        )[:, 0]
        torch.testing.assert_close(inverse[which::num_cameras], mean)
        for env, spec in enumerate(specs):
            things = houses[spec["house"]].objects()
            seen = {things[i - 1]["type"] for i in np.unique(ids[env]) if 0 < i <= len(things)}
            label = presence[env * num_cameras + which].flatten(1).any(1).tolist()
            assert label == [name in seen for name in TYPES]
