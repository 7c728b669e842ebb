"""A policy of ours from a checkpoint of the original, or from a preset."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from flare.errors import UserError
from flare.importing.files import OriginalCheckpoint, read_original
from flare.importing.infer import infer_config
from flare.importing.layout import entries
from flare.importing.sources import image_encoder_weights
from flare.importing.weights import import_weights
from flare.policy.policy import Policy
from flare.policy.spoc.config import Compat, Critic, SpocConfig

CompatName = Literal["weights", "flare", "none"]
_ACTOR_TO_CRITIC = {"actor_tower.": "critic_tower.", "actor_head.": "spare.actor_head."}


def import_policy(
    path: Path,
    *,
    compat: CompatName = "weights",
    critic: Critic | None = None,
    num_facts: int = 0,
    image_encoder: str | None = None,
    seed: int = 0,
) -> tuple[Policy, OriginalCheckpoint]:
    """Our policy with every tensor of an original checkpoint in its place.

    As in the original, an imitation checkpoint fills both towers, and the critic's head is fresh.

    Args:
        path: Lightning (il) or AllenAct (rl) file.
        compat: which oddities to reproduce, see Compat.named.
        critic: for imitation checkpoints: "tower" (default), "shared" or "facts". A reinforcement
            checkpoint has its own; "facts" replaces it.
        num_facts: K, for critic "facts".
        image_encoder: where the image encoder comes from if the file has none: "timm", "random",
            or a file, see image_encoder_weights.
        seed: of what stays at its initialisation.

    Raises:
        UserError: keys missing, surplus or misshapen, all listed, or no image encoder.
    """
    original = read_original(path)
    config = infer_config(original.weights, original.layout, file=path)
    config = replace(config, compat=Compat.named(compat))
    try:
        weights = import_weights(
            original.weights, entries(config, original.layout), width=config.width
        )
    except UserError as error:
        raise error.at(file=path) from error
    wanted = critic or ("tower" if original.layout == "il" else config.critic)
    config = _with_critic(config, wanted, num_facts, original.layout == "il")
    if original.layout == "il" and wanted == "tower":
        weights.update(_second_tower(weights))
    if original.layout == "rl":
        weights.update(_image_encoder(image_encoder, config))
    return build_policy(config, weights, seed=seed), original


def build_policy(config: SpocConfig, weights: Mapping[str, Tensor], *, seed: int) -> Policy:
    """A policy with these weights; what they don't hold is drawn with the seed."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        policy = Policy(config)
    own = policy.state_dict().keys()
    policy.load_state_dict({k: t for k, t in weights.items() if k in own}, strict=False)
    return policy.eval()


def _with_critic(config: SpocConfig, critic: Critic, num_facts: int, is_il: bool) -> SpocConfig:
    if critic != config.critic and not is_il and critic != "facts":
        raise UserError(
            f"is {critic!r}, but the checkpoint's is {config.critic!r}",
            key="critic",
            mend="leave it out, or replace the critic by 'facts'",
        )
    text = config.critic_text if critic == "tower" else "shared"
    return replace(
        config, critic=critic, critic_text=text, num_facts=num_facts if critic == "facts" else 0
    )


def _second_tower(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The critic's copy of everything that imitation trained."""
    return {
        ours + name.removeprefix(theirs): tensor.clone()
        for name, tensor in weights.items()
        for theirs, ours in _ACTOR_TO_CRITIC.items()
        if name.startswith(theirs)
    }


def _image_encoder(source: str | None, config: SpocConfig) -> dict[str, Tensor]:
    if source is None:
        raise UserError(
            "is missing: reinforcement checkpoints hold no image encoder",
            key="image_encoder",
            mend="give --image-encoder FILE (an imitation checkpoint such as spoc_IL, or DINOv2's "
            "own file), 'timm' to download it, or 'random'",
        )
    return {} if source == "random" else image_encoder_weights(source, config)
