"""``flare import`` and ``flare export``: the original's checkpoints in, and out again."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch

from flare.agent import TOKENIZER, AgentConfig, load_agent
from flare.atomic import atomic_path
from flare.checkpoint import Checkpoint, save_checkpoint
from flare.config import to_dict
from flare.console import Console
from flare.errors import UserError
from flare.importing.layout import Layout, entries
from flare.importing.policy_import import CompatName, build_policy, import_policy
from flare.importing.sources import image_encoder_weights, text_encoder_weights, tokenizer_file
from flare.importing.weights import export_weights
from flare.policy.policy import Policy
from flare.policy.spoc.config import PRESETS, Compat, SpocConfig
from flare.specs import ACTION_NAMES, CameraSpec
from flare.tasks.privileged import NUM_PRIVILEGED

_EPISODE_STEPS = 500  # the original's limit in training


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportConfig:
    """Configuration of ``flare import``."""

    checkpoint: Path | None = None  # the original's file: Lightning .ckpt or AllenAct .pt
    # Instead of a file, a fresh policy: small_3, small_6, base_3, base_6 or siglip_base_3.
    preset: str | None = None
    out: Path | None = None  # folder of the new run; default: beside the file, by its name
    # "weights": only the crop that released weights were trained with; "flare": every oddity of
    # the original; "none": none. See docs/oddities.md.
    compat: CompatName = "weights"
    # The value network: "tower", "shared" or "facts" (privileged); default: the checkpoint's own,
    # "tower" for imitation checkpoints.
    critic: Literal["tower", "shared", "facts"] | None = None
    # Where weights and tokenizer come from that the file lacks: a file, or what downloads them.
    image_encoder: str | None = None  # file, "timm" or "random"
    text_encoder: str | None = None  # of a preset: "transformers", "open_clip" or "random"
    tokenizer: str | None = None  # tokenizer.json, a folder with it, or "transformers"
    seed: int = 0  # of what stays at its initialisation

    def __post_init__(self) -> None:
        if (self.checkpoint is None) == (self.preset is None):
            raise UserError(
                "needs one of the two", key="checkpoint",
                mend="give a checkpoint of the original, or --preset",
            )  # fmt: skip
        if self.preset is not None and self.preset not in PRESETS:
            raise UserError(
                f"is {self.preset!r}", key="preset", mend=f"use one of {', '.join(PRESETS)}"
            )


def run_import(config: ImportConfig) -> int:
    """``flare import``."""
    if config.checkpoint is not None:
        policy, original = import_policy(
            config.checkpoint, compat=config.compat, critic=config.critic,
            num_facts=NUM_PRIVILEGED, image_encoder=config.image_encoder, seed=config.seed,
        )  # fmt: skip
        steps = original.steps
    else:
        policy, steps = _fresh(config), 0
    processors = {} if config.tokenizer is None else {TOKENIZER: tokenizer_file(config.tokenizer)}
    network = policy.config
    assert isinstance(network, SpocConfig)  # nothing else is imported
    agent = AgentConfig(
        network=network,
        action_names=ACTION_NAMES,
        camera=CameraSpec(
            width=network.image.width,
            height=network.image.height,
            num_cameras=network.image.num_cameras,
        ),
        max_steps=_EPISODE_STEPS,
    )
    checkpoint = Checkpoint(
        step=steps, stage="import", model=policy.state_dict(), policy=to_dict(agent),
        recipe=to_dict(config), trainer={}, metrics={"imported_from": str(_source(config))},
        processors=processors,
    )  # fmt: skip
    folder = save_checkpoint(_out(config), checkpoint)
    with Console("import") as console:
        console.message(f"saved {folder}: {policy.num_parameters():,} weights, {_sizes(network)}")
        if not processors:
            console.message(
                "no tokenizer: give --tokenizer FILE (tokenizer.json of t5-small) or "
                "--tokenizer transformers before you evaluate or train"
            )
    return 0


def _fresh(config: ImportConfig) -> Policy:
    assert config.preset is not None  # checked by the config
    critic = config.critic or "tower"
    network = replace(
        PRESETS[config.preset](),
        critic=critic,
        num_facts=NUM_PRIVILEGED if critic == "facts" else 0,
        compat=Compat.named(config.compat),
    )
    weights: dict[str, torch.Tensor] = {}
    for source, load in (
        (config.image_encoder, image_encoder_weights),
        (config.text_encoder, text_encoder_weights),
    ):
        if source not in (None, "random"):
            weights.update(load(source, network))
    return build_policy(network, weights, seed=config.seed)


def _source(config: ImportConfig) -> Path | str:
    return config.checkpoint or str(config.preset)


def _out(config: ImportConfig) -> Path:
    if config.out is not None:
        return config.out
    return Path("runs") / Path(str(_source(config))).stem


def _sizes(network: SpocConfig) -> str:
    return (
        f"{network.image.family} {network.image.embed}, fusion {network.fusion_layers} and decoder "
        f"{network.num_layers} layers of {network.width}, critic {network.critic}"
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportConfig:
    """Configuration of ``flare export``."""

    checkpoint: Path  # run or checkpoint folder of flare
    out: Path  # file to write
    layout: Layout = "rl"  # "rl": AllenAct, model_state_dict; "il": Lightning, state_dict
    which: str = "latest"  # "latest" or "best" checkpoint of a run


def run_export(config: ExportConfig) -> int:
    """``flare export``: write the original's layout."""
    _, policy, checkpoint = load_agent(config.checkpoint, which=config.which)
    content = original_content(policy, config.layout, checkpoint.step)
    with atomic_path(config.out) as temporary:
        torch.save(content, temporary)
    with Console("export") as console:
        console.message(f"saved {config.out}")
    return 0


def original_content(policy: Policy, layout: Layout, steps: int) -> dict[str, Any]:
    """What the original's loaders read: its keys, shapes and order.

    Raises:
        UserError: a policy that the original has no keys for.
    """
    network = policy.config
    if not isinstance(network, SpocConfig) or network.text.family != "t5":
        raise UserError(
            "is not of the original's architecture", key="network",
            mend="export a policy that was imported, or fine-tuned from one",
        )  # fmt: skip
    if layout == "rl" and network.decoder == "cross":
        raise UserError(
            "is 'cross', of SPOC's first release, which has no reinforcement checkpoints",
            key="network.decoder",
            mend="use --layout il, which holds the actor alone",
        )
    if layout == "rl" and network.critic == "facts":
        raise UserError(
            "is 'facts', for which the original has no keys",
            key="network.critic",
            mend="use --layout il, which holds the actor alone",
        )
    weights = export_weights(policy.state_dict(), entries(network, layout), width=network.width)
    if layout == "il":
        named = {f"model.{name}": tensor for name, tensor in weights.items()}
        return {"state_dict": named, "global_step": steps}
    return {"model_state_dict": weights, "total_steps": steps}
