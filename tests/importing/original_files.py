"""Small checkpoints in the original's two layouts, written as the original writes them."""

from dataclasses import replace

import torch

from flare.importing.layout import TIME_TABLE, entries
from flare.policy.spoc.config import SpocConfig, TextConfig, VisionConfig
from flare.policy.time_encoding import TimeEncoding

IMAGE = VisionConfig(embed=64, depth=12, num_heads=1)
TEXT = TextConfig(vocab_size=40, embed=16, depth=2, num_heads=2, hidden=24)
ONE_TOWER = SpocConfig(
    image=IMAGE, text=TEXT, width=32, fusion_layers=2, fusion_hidden=40, num_layers=2,
    critic="shared",
)  # fmt: skip
TWO_TOWER = replace(ONE_TOWER, critic="tower")
FIRST_RELEASE = replace(ONE_TOWER, decoder="cross")
LAYOUTS = {
    "imitation": (ONE_TOWER, "il"),
    "one tower": (ONE_TOWER, "rl"),
    "two towers": (TWO_TOWER, "rl"),
    "first release": (FIRST_RELEASE, "il"),
}
# A vocabulary of eight pieces and the letters that instructions here need.
PIECES = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("\u2581", -3.0), ("\u2581find", -4.0),
          ("\u2581a", -4.5), ("s", -5.0), ("\u2581mug", -6.0)]  # fmt: skip


def original_weights(config, layout, *, seed=0):
    """Random tensors under the original's keys; copies of one tensor agree."""
    rng = torch.Generator().manual_seed(seed)
    placed, drawn, weights = entries(config, layout), {}, {}
    for place in placed:
        if place.theirs.endswith(TIME_TABLE):
            weights[place.theirs] = TimeEncoding(config.width).frequencies
            continue
        key = (place.ours, place.part)
        if key not in drawn:
            drawn[key] = torch.randn(place.shape, generator=rng)
        weights[place.theirs] = drawn[key]
    return weights


def write_original(path, weights, layout):
    """The file as PyTorch Lightning or AllenAct writes it, with the other things they hold."""
    if layout == "il":
        named = {f"model.{name}": tensor for name, tensor in weights.items()}
        torch.save(
            {
                "epoch": 3,
                "global_step": 50_000,
                "pytorch-lightning_version": "2.0.3",
                "state_dict": named,
                "loops": {"fit_loop": {"state_dict": {}}},
                "callbacks": {},
                "optimizer_states": [{"state": {}, "param_groups": [{"lr": 2e-4}]}],
                "lr_schedulers": [],
            },
            path,
        )
    else:
        torch.save(
            {
                "model_state_dict": weights,
                "total_steps": 21_026_752,
                "optimizer_state_dict": {"state": {}, "param_groups": []},
                "training_pipeline_state_dict": {"stages": [0, 1]},
                "trainer_seed": 12345,
            },
            path,
        )
    return path
