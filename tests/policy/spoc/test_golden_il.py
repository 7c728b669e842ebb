"""The imitation model: loss, gradients, single steps; its text and image encoders."""

import json

import numpy as np
import pytest
import torch

from flare.agent import AgentConfig
from flare.data.layout import PAD_LAST_ACTION, PAD_TIME
from flare.data.windows import WindowBatch
from flare.imitation.losses import imitation_loss
from flare.importing.layout import entries
from flare.importing.weights import export_weights
from flare.policy.observation import Observation
from flare.policy.spoc.image_encoder import CLIP_MEAN, CLIP_STD
from flare.policy.time_encoding import TimeEncoding
from flare.ranks import Ranks
from flare.recipes.cloning import Cloner, CloningConfig
from flare.specs import ACTION_NAMES, CameraSpec
from tests.policy.spoc.golden import (
    SALT,
    assert_golden,
    assert_gradients,
    features,
    rng_for,
    row,
)

pytestmark = pytest.mark.usefixtures("two_threads")


def _clips(data, case, steps, feats):
    """Observations [T, B] of clips [B, T]."""
    clips = len(data["last_actions"])
    tokens = torch.from_numpy(data["input_ids"])[:, None].expand(clips, steps, -1)
    time = data.get("time_ids", np.broadcast_to(np.arange(steps), (clips, steps)).copy())
    batch = Observation(
        features=feats,
        tokens=tokens,
        prev_action=torch.from_numpy(data["last_actions"]),
        in_hand=torch.from_numpy(data["an_object_is_in_hand"]),
        time_step=torch.from_numpy(time),
        facts=torch.zeros(clips, steps, 1),
    )
    return batch.batch_first()


def _no_starts(obs):
    return torch.zeros(obs.time_step.shape, dtype=torch.bool)


@pytest.fixture
def forward_case(load_npz):
    data = load_npz("il_forward")
    feats = features("il", 2, 5)
    feats[torch.from_numpy(data["padding_mask"])] = 0.0
    return data, _clips(data, "il", 5, feats)


def test_forward(imitated, forward_case):
    data, obs = forward_case
    batch = obs.batch_first()
    with torch.no_grad():
        words, _ = imitated.read(batch.tokens)
        text = imitated.actor_tower.text_adapter(words.features)[words.index[:, 0]]
        fused = imitated.actor_tower.fuse(
            batch.flat().features, imitated.actor_tower.read(words)
        ).view(2, 5, -1)
        beliefs = imitated.actor_tower(batch, words, torch.zeros(2, 5).long(), None)
        logits = imitated.evaluate_logits(obs, _no_starts(obs)).transpose(0, 1)
    for got, name in (
        (text, "text_feats"),
        (fused, "fused_embeds"),
        (beliefs, "decoder_output"),
        (logits, "actions_logits"),
    ):
        assert_golden(got, data[name])


def test_loss_and_gradients(imitated, forward_case, golden_dir):
    data, obs = forward_case
    actions = torch.from_numpy(data["actions"]).t()
    imitated.zero_grad(set_to_none=True)
    logits = imitated.evaluate_logits(obs, _no_starts(obs))
    loss, _ = imitation_loss(logits, actions.clamp(min=0), actions != -1, 0.0)
    loss.backward()
    assert_golden(loss, data["loss"])
    want = json.loads((golden_dir / "il_gradients.json").read_text())
    assert loss.item() == pytest.approx(want["loss"], rel=1e-5)
    named = dict(imitated.named_parameters())
    grads = {n: torch.zeros_like(p) if p.grad is None else p.grad for n, p in named.items()}
    exported = export_weights(grads, entries(imitated.config, "il"), width=512)
    assert_gradients(
        {n: g for n, g in exported.items() if not n.endswith("div_term")}, want["gradients"]
    )
    imitated.zero_grad(set_to_none=True)


class _GoldenWords:
    """The golden token ids in place of the tokenizer's, which the files do without."""

    def __init__(self, ids):
        self.ids = ids

    def encode(self, instructions):
        return self.ids[[int(text) for text in instructions]]


def test_loss_and_gradients_through_the_trainer(imitated, forward_case, golden_dir, monkeypatch):
    """One whole step of behaviour cloning, from a batch of windows as the loader gives it."""
    data, _ = forward_case
    feats = features("il", 2, 5)
    feats[torch.from_numpy(data["padding_mask"])] = 0.0
    # Features are the golden files' input: frames carry their place, and nothing else.
    frames = np.zeros((2, 5, 2, 1, 1, 3), np.uint8)
    frames[:, :, 0, 0, 0, 0] = np.arange(10).reshape(2, 5)
    monkeypatch.setattr(
        imitated, "encode_frames",
        lambda pictures: feats.flatten(0, 1)[pictures[:, 0, 0, 0, 0].long()],
    )  # fmt: skip
    batch = WindowBatch(
        frames=frames, actions=data["actions"], last_actions=data["last_actions"],
        time_ids=data["time_ids"], in_hand=data["an_object_is_in_hand"],
        lengths=(~data["padding_mask"]).sum(1), instructions=["0", "1"],
    )  # fmt: skip
    assert PAD_LAST_ACTION in batch.last_actions and PAD_TIME in batch.time_ids
    agent = AgentConfig(
        network=imitated.config, action_names=ACTION_NAMES, camera=CameraSpec(num_cameras=2)
    )
    before = {name: p.detach().clone() for name, p in imitated.named_parameters()}
    config = CloningConfig(batch_size=2, learning_rate=1e-4)
    cloner = Cloner(
        agent, imitated, _GoldenWords(data["input_ids"]), config, seed=0, ranks=Ranks()
    )  # fmt: skip
    stats = cloner.step(0, [batch])
    assert_golden(np.float32(stats["imitation_loss"]), data["loss"])
    want = json.loads((golden_dir / "il_gradients.json").read_text())
    assert stats["imitation_loss"] == pytest.approx(want["loss"], rel=1e-5)
    named = dict(imitated.named_parameters())
    grads = {n: torch.zeros_like(p) if p.grad is None else p.grad for n, p in named.items()}
    exported = export_weights(grads, entries(imitated.config, "il"), width=512)
    assert_gradients(
        {n: g for n, g in exported.items() if not n.endswith("div_term")}, want["gradients"]
    )
    # AdamW's first step: the rate against the gradient's sign, after the decay.
    weight, old = imitated.actor_head.weight, before["actor_head.weight"]
    moved = old * (1 - 1e-4 * config.weight_decay) - 1e-4 * weight.grad.sign()
    sure = weight.grad.abs() > 1e-4
    torch.testing.assert_close(weight[sure], moved[sure], rtol=0, atol=2e-6)
    with torch.no_grad():
        for name, parameter in named.items():
            parameter.copy_(before[name])
    imitated.zero_grad(set_to_none=True)
    imitated.eval()


def test_single_steps(imitated, load_npz):
    data = load_npz("il_step")
    obs = _clips(data, "il_step", 6, features("il_step", 1, 6))
    cache = imitated.new_cache(1, max_len=6)
    logits = [imitated.act(row(obs, t), cache, None).logits for t in range(6)]
    assert_golden(torch.stack(logits, 1), data["step_logits"])
    with torch.no_grad():
        full = imitated.evaluate_logits(obs, _no_starts(obs)).transpose(0, 1)
    assert_golden(full, data["full_logits"])


@pytest.mark.parametrize("batch", ["batch0", "batch1"])
def test_text(imitated, load_npz, batch):
    data = load_npz("text_and_time")
    tokens = torch.from_numpy(data[f"{batch}/input_ids"])
    imitated.instructions.forget()
    words = imitated.instructions(tokens)
    got = words.features[words.index]
    assert_golden(got, data[f"{batch}/last_hidden_state"])
    with torch.no_grad():
        adapted = imitated.actor_tower.text_adapter(got)
    assert_golden(adapted, data[f"{batch}/adapted"])
    assert words.lengths[words.index].tolist() == data[f"{batch}/attention_mask"].sum(1).tolist()


def test_time(load_npz):
    data = load_npz("text_and_time")
    encoding = TimeEncoding(512)(torch.from_numpy(data["time/position"]))
    assert_golden(encoding, data["time/encoding"])


def test_images(imitated, load_npz):
    data = load_npz("dino_image")
    shape = (len(data["pooled"]), 224, 384, 3)
    images = rng_for(f"{SALT}/input/images").integers(0, 256, shape, dtype=np.uint8)
    assert images.reshape(-1)[:8].tolist() == data["image_first8"].tolist()
    assert int(images.sum(dtype=np.int64)) == int(data["image_sum"])
    pixel = (images[0, 0, 0] / 255.0 - np.array(CLIP_MEAN)) / np.array(CLIP_STD)
    assert_golden(pixel, data["normalised_first_pixel"])
    encoder = imitated.image_encoder
    row0 = encoder.vit.grid_positions(16, 27).view(16, 27, -1)[0, :, :16]
    assert_golden(row0, data["position_embedding_row0"])
    (cut,) = encoder.patches(torch.from_numpy(images)[None])
    with torch.no_grad():
        assert_golden(encoder.pooled(cut).transpose(1, 2).unflatten(2, (7, 12)), data["pooled"])
        tokens = encoder.vit.norm(encoder.tokens(cut[:1])[:, 1:])
    every = tokens[0][::37]
    assert_golden(every, data["patch_tokens_image0_every_37th"])
    frames = torch.from_numpy(images)[None]  # two cameras of one step
    packed = imitated.encode_frames(frames).view(2, 84, 384)
    assert_golden(packed.transpose(1, 2).reshape(2, 384, 7, 12), data["pooled"])
