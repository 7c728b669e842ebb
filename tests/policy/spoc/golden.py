"""Weights and inputs of the golden files, by their formulas (golden/README.md, section 1)."""

import hashlib
import json
from functools import cache
from pathlib import Path

import numpy as np
import torch

from flare.policy.observation import Observation

SALT = "flare-golden-public-1"
FEATURE_SHAPE = (384, 7, 12)
_HALF = ("last_actions_embed.weight", "object_in_hand_embed.weight", "shared.weight",
         "relative_attention_bias.weight", "cls_token", "pos_embed", "mask_token")  # fmt: skip


def rng_for(key):
    seed = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "little")
    return np.random.Generator(np.random.PCG64(seed))


def normal(key, shape):
    return rng_for(key).standard_normal(size=shape, dtype=np.float32)


def weight(name, shape):
    """The tensor of one entry of the original's state dict."""
    if name.endswith("div_term"):
        exponent = torch.arange(0, 2 * shape[0], 2).float()
        return torch.exp(exponent * (-np.log(10000.0) / (2 * shape[0])))
    name = name.replace("encoder.embed_tokens.weight", "shared.weight")
    n = normal(f"{SALT}/weight/{name}", shape)
    if len(shape) == 1:
        n *= np.float32(0.1)
        if name.endswith((".weight", ".gamma")):
            n += np.float32(1.0)
    elif name.endswith(_HALF):
        n *= np.float32(0.5)
    else:
        scale = 1.0 / np.sqrt(np.prod(shape[1:]))
        n *= np.float32(scale / 8 if name.endswith("SelfAttention.q.weight") else scale)
    return torch.from_numpy(n)


@cache
def manifest(folder: Path):
    """Entries of every model: lists of name, shape, kind and fill check."""
    models = json.loads((folder / "manifest.json").read_text())["models"]
    return {name: model["entries"] for name, model in models.items()}


def original_weights(folder, model, known=None):
    """A whole state dict of the original, filled by the formulas; aliases share their tensor.

    known: tensors of another model, used where the name (which is the formula's key) is the same.
    """
    filled, known = {}, known or {}
    for entry in manifest(folder)[model]:
        name, alias = entry["name"], entry["kind"].removeprefix("alias of ")
        if alias in filled:
            filled[name] = filled[alias]
        else:
            filled[name] = known[name] if name in known else weight(name, tuple(entry["shape"]))
    return filled


def features(case, *leading):
    """Both cameras' features of a case as the policy keeps them: [*leading, F]."""
    maps = [normal(f"{SALT}/input/{case}/{camera}", (*leading, *FEATURE_SHAPE))
            for camera in ("nav", "manip")]  # fmt: skip
    return pack(maps)


def pack(maps):
    """Feature maps [..., 384, 7, 12] of the cameras to [..., F]: camera, cell, channel."""
    stacked = np.stack([m.reshape(*m.shape[:-2], -1).swapaxes(-1, -2) for m in maps], -3)
    return torch.from_numpy(stacked.reshape(*stacked.shape[:-3], -1).copy())


def rl_observation(data, case):
    """Observations [T, N] of a golden reinforcement case; raw previous actions, masked here."""
    steps, envs = data["time_step"].shape
    masks = torch.from_numpy(data["masks"])[..., 0]
    tokens = torch.from_numpy(data["input_ids"]).view(steps, envs, -1)
    previous = torch.from_numpy(data["prev_actions"])
    return Observation(
        features=features(case, steps, envs),
        tokens=tokens,
        prev_action=torch.where(masks == 0, 20, previous),
        in_hand=torch.from_numpy(data["an_object_is_in_hand"])[..., 0].long(),
        time_step=torch.from_numpy(data["time_step"]),
        facts=torch.zeros(steps, envs, 1),
    )


def assert_golden(got, want, factor=1e-4):
    """``|got - want| <= factor (|want| + max(1e-3, mean |want|))`` everywhere."""
    got = got.detach().numpy() if isinstance(got, torch.Tensor) else np.asarray(got)
    want = np.asarray(want)
    assert got.shape == want.shape, (got.shape, want.shape)
    bound = factor * (np.abs(want) + max(1e-3, float(np.abs(want).mean())))
    excess = np.abs(got - want) / bound
    assert (excess <= 1).all(), f"{excess.max():.2f} times the tolerance"


def row(obs, t):
    """Step t of observations [T, ...]."""
    return Observation(**{name: getattr(obs, name)[t] for name in Observation.__slots__})


def starts_of(traj_index):
    """[T, N] bool: where the trajectory index changes."""
    index = torch.from_numpy(traj_index)
    starts = torch.zeros_like(index, dtype=torch.bool)
    starts[1:] = index[1:] != index[:-1]
    return starts


def assert_gradients(policy_gradients, want, factor=1e-3):
    """Norm, dot product with the probe and first element of every gradient of a golden file."""
    for name, numbers in want.items():
        got = policy_gradients.get(name)
        if numbers is None:
            assert got is None or not got.any(), name
            continue
        flat = got.detach().reshape(-1)
        probe = torch.from_numpy(normal(f"probe/{name}", (flat.numel(),)))
        values = (flat.norm(), torch.dot(flat, probe), flat[0])
        tolerance = factor * numbers[0]
        for value, number in zip(values, numbers, strict=True):
            assert abs(float(value) - number) <= tolerance, (name, float(value), number)
