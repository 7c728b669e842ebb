"""Goal, time and decoder blocks, each against its formula."""

import math
from dataclasses import replace

import torch

from flare.policy.goal_encoder import GoalEncoder, GoalFusion
from flare.policy.tower import TimeEncoding
from flare.policy.transformer import SwiGLU
from tests.policy.policy_cases import TINY


def test_time_encoding_by_hand():
    """Width 4: sin t, cos t, sin(t/100), cos(t/100)."""
    got = TimeEncoding(4)(torch.tensor([0, 7]))
    wanted = [[0, 1, 0, 1], [math.sin(7), math.cos(7), math.sin(0.07), math.cos(0.07)]]
    torch.testing.assert_close(got, torch.tensor(wanted, dtype=torch.float32))


def test_goal_ignores_padding_and_survives_none():
    encoder = GoalEncoder(TINY)
    padded = encoder(torch.tensor([[3, 5, 0, 0], [0, 0, 0, 0]]))
    torch.testing.assert_close(padded[:1], encoder(torch.tensor([[5, 3]])))
    assert torch.isfinite(padded).all()


def test_places_tell_sentences_of_the_same_words_apart():
    torch.manual_seed(0)
    encoder = GoalEncoder(replace(TINY, num_places=4))
    bed_by_mug, mug_by_bed = encoder(torch.tensor([[3, 4, 5, 0], [5, 4, 3, 0]]))
    assert (bed_by_mug - mug_by_bed).abs().max() > 1e-2
    assert torch.isfinite(encoder(torch.zeros(1, 4, dtype=torch.long))).all()
    with torch.no_grad():
        encoder.places.fill_(1.0)  # places that are all alike make a bag of words
    tokens = torch.tensor([[3, 4, 5, 0]])
    bag = GoalEncoder(TINY)
    bag.load_state_dict(encoder.state_dict(), strict=False)
    torch.testing.assert_close(encoder(tokens), bag(tokens))


def test_fusion_multiplies_goal_and_image():
    """What the goal makes of the image depends on the image: it is no sum of the two."""
    torch.manual_seed(0)
    fusion = GoalFusion(TINY)
    features = torch.randn(2, TINY.image.num_features)
    goals = torch.randn(2, TINY.width)
    out = {(i, g): fusion(features[i : i + 1], goals[g : g + 1]) for i in (0, 1) for g in (0, 1)}
    interaction = out[0, 0] - out[0, 1] - out[1, 0] + out[1, 1]
    assert interaction.abs().max() > 1e-3


def test_swiglu_by_hand():
    layer = SwiGLU(1, 1)
    with torch.no_grad():
        layer.w_in.weight.copy_(torch.tensor([[2.0], [3.0]]))
        layer.w_out.weight.fill_(0.5)
    sigmoid = 1 / (1 + math.exp(-2))
    torch.testing.assert_close(layer(torch.ones(1, 1)).item(), 0.5 * 2 * sigmoid * 3)
