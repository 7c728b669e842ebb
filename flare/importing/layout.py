"""Where every tensor of the original's checkpoints lies in flare's policy.

The original has two layouts. Imitation (PyTorch Lightning): one network with its image encoder and
a plain actor. Reinforcement learning (AllenAct): the network without image encoder, with a critic
head, and for two towers a second whole copy under ``critic_tsfm.``.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from flare.policy.spoc.config import SpocConfig

Layout = Literal["il", "rl"]
CRITIC_TOWER = "critic_tsfm."
TIME_TABLE = "time_encoder.div_term"
FIRST_RELEASE_ACTOR = "action_classifier"  # of SPOC's first release
_VISUAL = "visual_encoder."
_CAMERAS = ("raw_navigation_camera", "raw_manipulation_camera")  # in the order of our frames


@dataclass(frozen=True, slots=True)
class Placed:
    """One entry of the original's state dict and its place in ours.

    The entry is, up to its shape, chunk ``part`` of ``parts`` along the first axis of ``ours``.
    """

    theirs: str
    shape: tuple[int, ...]
    ours: str | None  # None: the time table, which is a formula here
    part: int = 0
    parts: int = 1


def entries(config: SpocConfig, layout: Layout) -> list[Placed]:
    """Every entry of the layout, in the original's order."""
    if layout == "il":
        return list(_imitation(config))
    if config.critic == "shared":
        return list(_reinforcement(config, "", "actor_tower.", "actor_head.", "critic_head."))
    towers = [
        *_reinforcement(config, "", "actor_tower.", "actor_head.", "spare.critic_head."),
        *_reinforcement(
            config, CRITIC_TOWER, "critic_tower.", "spare.actor_head.", "critic_head."
        ),
    ]  # fmt: skip
    return towers


def _imitation(config: SpocConfig) -> Iterator[Placed]:
    width, tower = config.width, "actor_tower."
    yield Placed(f"{_VISUAL}fusion_token", (width,), f"{tower}fusion.token")
    yield from _camera_tokens(config, _VISUAL, tower, reversed(range(config.image.num_cameras)))
    yield from _image_encoder(config)
    yield from _cells(config, _VISUAL, tower)
    yield from _text_encoder(config, _VISUAL, "instructions.encoder.")
    yield from _adapter(f"{_VISUAL}text_adapter", f"{tower}text_adapter", config.text.embed, width)
    yield from _fusion(config, _VISUAL, tower)
    if config.decoder == "cross":  # SPOC's first release
        yield from _cross_decoder(config, tower)
        yield from _linear(FIRST_RELEASE_ACTOR, "actor_head", config.num_actions, width)
    else:
        yield from _decoder(config, "", tower)
        yield from _linear("actor", "actor_head", config.num_actions, width)
    yield from _embeddings(config, "", tower, ("time", "action", "hand"))


def _reinforcement(
    config: SpocConfig, prefix: str, tower: str, actor: str, critic: str
) -> Iterator[Placed]:
    width, visual = config.width, f"{prefix}{_VISUAL}"
    own_text = prefix == CRITIC_TOWER and config.critic_text == "own"
    text = "critic_instructions.encoder." if own_text else "instructions.encoder."
    yield Placed(f"{visual}fusion_token", (width,), f"{tower}fusion.token")
    yield from _camera_tokens(config, visual, tower, range(config.image.num_cameras))
    yield from _text_encoder(config, visual, text)
    yield from _adapter(f"{visual}text_adapter", f"{tower}text_adapter", config.text.embed, width)
    yield from _cells(config, visual, tower)
    yield from _fusion(config, visual, tower)
    yield from _embeddings(config, prefix, tower, ("hand", "action", "time"))
    yield from _decoder(config, prefix, tower)
    yield from _linear(f"{prefix}actor.linear", actor.rstrip("."), config.num_actions, width)
    yield from _critic(config, f"{prefix}critic.fc", critic)


def _linear(theirs: str, ours: str, rows: int, columns: int) -> Iterator[Placed]:
    yield Placed(f"{theirs}.weight", (rows, columns), f"{ours}.weight")
    yield Placed(f"{theirs}.bias", (rows,), f"{ours}.bias")


def _norm(theirs: str, ours: str, width: int) -> Iterator[Placed]:
    yield Placed(f"{theirs}.weight", (width,), f"{ours}.weight")
    yield Placed(f"{theirs}.bias", (width,), f"{ours}.bias")


def _adapter(theirs: str, ours: str, inputs: int, width: int) -> Iterator[Placed]:
    yield from _linear(f"{theirs}.0", f"{ours}.linear", width, inputs)
    yield from _norm(f"{theirs}.1", f"{ours}.norm", width)


def _camera_tokens(
    config: SpocConfig, visual: str, tower: str, order: Iterator[int] | range
) -> Iterator[Placed]:
    for camera in order:
        yield Placed(
            f"{visual}visual_sensor_token_{_CAMERAS[camera]}",
            (config.width,),
            f"{tower}cells.camera_tokens",
            camera,
            config.image.num_cameras,
        )


def _cells(config: SpocConfig, visual: str, tower: str) -> Iterator[Placed]:
    width = config.width
    for index, name, inputs in ((0, "compress", config.image.embed), (2, "mix", width)):
        theirs, ours = f"{visual}visual_compressor.{index}", f"{tower}cells.{name}"
        yield Placed(f"{theirs}.weight", (width, inputs, 1, 1), f"{ours}.weight")
        yield Placed(f"{theirs}.bias", (width,), f"{ours}.bias")
    yield from _adapter(f"{visual}visual_adapter", f"{tower}cells.adapter", width, width)


def _attention(theirs: str, qkv: str, out: str, width: int) -> Iterator[Placed]:
    """PyTorch's multi-head attention."""
    yield Placed(f"{theirs}.in_proj_weight", (3 * width, width), f"{qkv}.weight")
    yield Placed(f"{theirs}.in_proj_bias", (3 * width,), f"{qkv}.bias")
    yield from _linear(f"{theirs}.out_proj", out, width, width)


def _cross_decoder(config: SpocConfig, tower: str) -> Iterator[Placed]:
    """PyTorch's transformer decoder."""
    width, hidden = config.width, config.fusion_hidden
    for index in range(config.num_layers):
        theirs, ours = f"decoder.layers.{index}", f"{tower}decoder.blocks.{index}"
        yield from _attention(f"{theirs}.self_attn", f"{ours}.qkv", f"{ours}.attention_out", width)
        yield from _attention(
            f"{theirs}.multihead_attn", f"{ours}.text_qkv", f"{ours}.text_out", width
        )
        yield from _linear(f"{theirs}.linear1", f"{ours}.w_in", hidden, width)
        yield from _linear(f"{theirs}.linear2", f"{ours}.w_out", width, hidden)
        for number, name in enumerate(("attention", "text", "feed_forward"), 1):
            yield from _norm(f"{theirs}.norm{number}", f"{ours}.{name}_norm", width)


def _fusion(config: SpocConfig, visual: str, tower: str) -> Iterator[Placed]:
    width, hidden = config.width, config.fusion_hidden
    for index in range(config.fusion_layers):
        theirs, ours = f"{visual}fusion_xformer.layers.{index}", f"{tower}fusion.layers.{index}"
        yield from _attention(f"{theirs}.self_attn", f"{ours}.qkv", f"{ours}.attention_out", width)
        yield from _linear(f"{theirs}.linear1", f"{ours}.w_in", hidden, width)
        yield from _linear(f"{theirs}.linear2", f"{ours}.w_out", width, hidden)
        yield from _norm(f"{theirs}.norm1", f"{ours}.attention_norm", width)
        yield from _norm(f"{theirs}.norm2", f"{ours}.feed_forward_norm", width)


def _embeddings(
    config: SpocConfig, prefix: str, tower: str, order: tuple[str, ...]
) -> Iterator[Placed]:
    width = config.width
    places = {
        "action": Placed(
            f"{prefix}last_actions_embed.weight",
            (config.num_actions + 2, width),
            f"{tower}prev_action.weight",
        ),
        "hand": Placed(
            f"{prefix}object_in_hand_embed.weight", (3, width), f"{tower}in_hand.weight"
        ),
        "time": Placed(f"{prefix}{TIME_TABLE}", (width // 2,), None),
    }
    yield from (places[name] for name in order)


def _decoder(config: SpocConfig, prefix: str, tower: str) -> Iterator[Placed]:
    width, hidden = config.width, config.hidden
    square = (width, width)
    for index in range(config.num_layers):
        theirs, ours = f"{prefix}decoder.layers.{index}", f"{tower}decoder.blocks.{index}"
        for part, name in enumerate(("wq", "wk", "wv")):
            yield Placed(f"{theirs}.attention.{name}.weight", square, f"{ours}.qkv.weight", part, 3)
        yield Placed(f"{theirs}.attention.wo.weight", square, f"{ours}.attention_out.weight")
        w_in, w_out = f"{ours}.feed_forward.w_in.weight", f"{ours}.feed_forward.w_out.weight"
        feed_forward = f"{theirs}.feed_forward"
        yield Placed(f"{feed_forward}.w1.weight", (hidden, width), w_in, 0, 2)
        yield Placed(f"{feed_forward}.w2.weight", (width, hidden), w_out)
        yield Placed(f"{feed_forward}.w3.weight", (hidden, width), w_in, 1, 2)
        yield Placed(f"{theirs}.attention_norm.weight", (width,), f"{ours}.attention_norm.weight")
        yield Placed(f"{theirs}.ffn_norm.weight", (width,), f"{ours}.feed_forward_norm.weight")
    yield Placed(f"{prefix}decoder.norm.weight", (width,), f"{tower}decoder.norm.weight")
    yield Placed(f"{prefix}decoder.output.weight", square, f"{tower}out.weight")


def _critic(config: SpocConfig, theirs: str, ours: str) -> Iterator[Placed]:
    width, half = config.width, config.width // 2
    if config.critic_head == "linear":
        yield from _linear(theirs, ours.rstrip("."), 1, width)
        return
    sizes = {"mlp": (half, half, 1), "discrete": (half, 101)}[config.critic_head]
    inputs = width
    for index, rows in enumerate(sizes):
        yield from _linear(f"{theirs}.{2 * index}", f"{ours}layers.{2 * index}", rows, inputs)
        inputs = rows


def _text_encoder(config: SpocConfig, visual: str, ours: str) -> Iterator[Placed]:
    for placed in text_encoder_entries(config, ours):
        yield replace(placed, theirs=f"{visual}text_encoder.{placed.theirs}")


def text_encoder_entries(
    config: SpocConfig, ours: str = "instructions.encoder."
) -> Iterator[Placed]:
    """Entries of T5's encoder in transformers, or of SigLIP's in open_clip."""
    return (_siglip_text if config.text.family == "siglip" else _t5)(config, ours)


def _siglip_text(config: SpocConfig, ours: str) -> Iterator[Placed]:
    text = config.text
    embed, hidden = text.embed, text.hidden
    yield Placed("positional_embedding", (text.max_tokens, embed), f"{ours}positions")
    yield Placed("token_embedding.weight", (text.vocab_size, embed), f"{ours}embedding.weight")
    for index in range(text.depth):
        theirs, own = f"transformer.resblocks.{index}", f"{ours}blocks.{index}"
        yield from _norm(f"{theirs}.ln_1", f"{own}.attention_norm", embed)
        yield Placed(f"{theirs}.attn.in_proj_weight", (3 * embed, embed), f"{own}.qkv.weight")
        yield Placed(f"{theirs}.attn.in_proj_bias", (3 * embed,), f"{own}.qkv.bias")
        yield from _linear(f"{theirs}.attn.out_proj", f"{own}.attention_out", embed, embed)
        yield from _norm(f"{theirs}.ln_2", f"{own}.feed_forward_norm", embed)
        yield from _linear(f"{theirs}.mlp.c_fc", f"{own}.w_in", hidden, embed)
        yield from _linear(f"{theirs}.mlp.c_proj", f"{own}.w_out", embed, hidden)
    yield from _norm("ln_final", f"{ours}norm", embed)
    yield from _linear("text_projection", f"{ours}pooled", embed, embed)


def _t5(config: SpocConfig, ours: str) -> Iterator[Placed]:
    text = config.text
    table = (text.vocab_size, text.embed)
    # One tensor under two names.
    yield Placed("shared.weight", table, f"{ours}embedding.weight")
    yield Placed("encoder.embed_tokens.weight", table, f"{ours}embedding.weight")
    for index in range(text.depth):
        block, own = f"encoder.block.{index}.layer", f"{ours}blocks.{index}"
        square = (text.embed, text.embed)
        for name, our_name in (("q", "q"), ("k", "k"), ("v", "v"), ("o", "out")):
            key = f"{block}.0.SelfAttention.{name}.weight"
            yield Placed(key, square, f"{own}.attention.{our_name}.weight")
        if index == 0:
            key = f"{block}.0.SelfAttention.relative_attention_bias.weight"
            yield Placed(key, (32, text.num_heads), f"{ours}position_bias.weight")
        norm = (text.embed,)
        yield Placed(f"{block}.0.layer_norm.weight", norm, f"{own}.attention_norm.weight")
        dense = f"{block}.1.DenseReluDense"
        yield Placed(f"{dense}.wi.weight", (text.hidden, text.embed), f"{own}.w_in.weight")
        yield Placed(f"{dense}.wo.weight", (text.embed, text.hidden), f"{own}.w_out.weight")
        yield Placed(f"{block}.1.layer_norm.weight", norm, f"{own}.feed_forward_norm.weight")
    yield Placed("encoder.final_layer_norm.weight", (text.embed,), f"{ours}norm.weight")


def _image_encoder(config: SpocConfig) -> Iterator[Placed]:
    prefix = f"{_VISUAL}image_encoder.model."
    for placed in image_encoder_entries(config):
        yield replace(placed, theirs=f"{prefix}{placed.theirs}")


def image_encoder_entries(config: SpocConfig) -> Iterator[Placed]:
    """Entries of DINOv2's own files (and, behind a prefix, of imitation checkpoints).

    SigLIP's are those of timm: the same names, less what SigLIP lacks.
    """
    image, ours = config.image, "image_encoder.vit."
    embed, hidden, dino = image.embed, 4 * image.embed, image.family == "dinov2"
    if dino:
        yield Placed("cls_token", (1, 1, embed), f"{ours}class_token")
    yield Placed("pos_embed", (1, image.table**2 + dino, embed), f"{ours}positions")
    if dino:
        yield Placed("mask_token", (1, embed), f"{ours}mask_token")
    kernel = (embed, 3, image.patch, image.patch)
    yield Placed("patch_embed.proj.weight", kernel, f"{ours}patches.weight")
    yield Placed("patch_embed.proj.bias", (embed,), f"{ours}patches.bias")
    for index in range(image.depth):
        theirs, own = f"blocks.{index}", f"{ours}blocks.{index}"
        yield from _norm(f"{theirs}.norm1", f"{own}.attention_norm", embed)
        yield from _linear(f"{theirs}.attn.qkv", f"{own}.qkv", 3 * embed, embed)
        yield from _linear(f"{theirs}.attn.proj", f"{own}.attention_out", embed, embed)
        if dino:
            yield Placed(f"{theirs}.ls1.gamma", (embed,), f"{own}.attention_scale")
        yield from _norm(f"{theirs}.norm2", f"{own}.feed_forward_norm", embed)
        yield from _linear(f"{theirs}.mlp.fc1", f"{own}.w_in", hidden, embed)
        yield from _linear(f"{theirs}.mlp.fc2", f"{own}.w_out", embed, hidden)
        if dino:
            yield Placed(f"{theirs}.ls2.gamma", (embed,), f"{own}.feed_forward_scale")
    yield from _norm("norm", f"{ours}norm", embed)
