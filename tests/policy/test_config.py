"""The policy's config: shapes that follow from it, JSON, refusals."""

import json
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from flare.config import from_dict, to_dict
from flare.errors import UserError
from flare.policy.config import ImageEncoderConfig, PolicyConfig, small_preset
from flare.policy.image_encoder import ImageEncoder
from flare.policy.policy import Policy
from flare.specs import CameraSpec
from tests.policy.policy_cases import TINY


@settings(max_examples=20, deadline=None)
@given(
    height=st.integers(8, 70),
    width=st.integers(8, 70),
    cameras=st.integers(1, 2),
    layers=st.integers(1, 3),
    stride=st.integers(1, 5),
)
def test_grid_is_what_the_convolutions_make(height, width, cameras, layers, stride):
    config = ImageEncoderConfig(
        height=height, width=width, num_cameras=cameras, channels=(4,) * layers,
        first_kernel=min(2 * stride, 8), first_stride=stride, grid_channels=2,
    )  # fmt: skip
    frames = torch.zeros(3, cameras, height, width, 3, dtype=torch.uint8)
    rows, columns = config.grid
    assert config.num_features == cameras * rows * columns * 2
    assert ImageEncoder(config)(frames).shape == (3, config.num_features)


def test_config_survives_json():
    config = replace(TINY, critic="facts")
    assert from_dict(json.loads(json.dumps(to_dict(config))), PolicyConfig) == config


@pytest.mark.parametrize("cameras", [1, 2])
@pytest.mark.parametrize(("width", "height"), [(84, 48), (112, 64), (384, 224)])
def test_small_preset_keeps_a_step_small_at_any_resolution(width, height, cameras):
    config = small_preset(
        camera=CameraSpec(width=width, height=height, num_cameras=cameras),
        num_actions=7, vocab_size=40, num_facts=14,
    )  # fmt: skip
    assert config.image.grid == (4, 7)
    assert config.image.num_features == 896
    assert Policy(config).num_parameters() < 1_000_000


@pytest.mark.parametrize(
    ("key", "change"),
    [
        ("num_actions", {"num_actions": 0}),
        ("width", {"width": 18}),
        ("critic", {"critic": "shared"}),
        ("num_facts", {"critic": "facts", "num_facts": 0}),
    ],
)
def test_bad_values_are_refused_by_name(key, change):
    with pytest.raises(UserError) as caught:
        replace(TINY, **change)
    assert caught.value.key == key


@pytest.mark.parametrize(
    ("key", "change"),
    [
        ("image.height", {"height": 4}),
        ("image.channels", {"channels": ()}),
        ("image.num_cameras", {"num_cameras": 0}),
    ],
)
def test_bad_image_values_are_refused_by_name(key, change):
    with pytest.raises(UserError) as caught:
        ImageEncoderConfig(**change)
    assert caught.value.key == key


def test_unknown_fields_are_refused_by_name():
    with pytest.raises(UserError, match=r"image\.depth: unknown field"):
        from_dict({"image": {"depth": 3}}, PolicyConfig)
    with pytest.raises(UserError, match="dropout: unknown field"):
        from_dict({"dropout": 0.1}, PolicyConfig)
