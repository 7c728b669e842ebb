"""The original's policy as its description says it computes, in plain PyTorch: the peer to beat.

What costs time is kept: every instruction goes through T5 at every step, all rows of the last
fusion layer are computed, the critic is a second whole network, each forward evaluates the critic's
head twice and takes the gradients' norm over all parameters, the cache is copied by indexing at
every step, and dropout is on in collection. Left out, in the original's favour: the tokenizer, the
dropout inside T5 and the transfers between devices.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flare.importing.layout import CRITIC_TOWER, TIME_TABLE, entries
from flare.importing.weights import export_weights
from flare.policy.policy import Policy
from flare.policy.spoc.config import SpocConfig
from flare.policy.spoc.t5 import T5Encoder

_TEXT = "visual_encoder.text_encoder."


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.wq, self.wk, self.wv, self.wo = (nn.Linear(width, width, bias=False) for _ in range(4))

    def forward(self, x: Tensor, mask: Tensor, cache: list[Tensor] | None, place: int) -> Tensor:
        envs, steps, width = x.shape
        q, k, v = (w(x).view(envs, steps, self.heads, -1) for w in (self.wq, self.wk, self.wv))
        if cache is not None:
            cache[0][:, place], cache[1][:, place] = k[:, 0], v[:, 0]
            k, v = cache[0][:, : place + 1], cache[1][:, : place + 1]
        q, k, v = (t.transpose(1, 2) for t in (q, k, v))
        out = F.scaled_dot_product_attention(q, k, v, mask[:, None])
        return self.wo(out.transpose(1, 2).reshape(envs, steps, width))


class _FeedForward(nn.Module):
    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.w1, self.w2, self.w3 = (
            nn.Linear(width, hidden, bias=False),
            nn.Linear(hidden, width, bias=False),
            nn.Linear(width, hidden, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.w2(F.silu(self.w1(x)) * self.w3(x))


class _Block(nn.Module):
    def __init__(self, config: SpocConfig) -> None:
        super().__init__()
        self.attention = _Attention(config.width, config.num_heads)
        self.feed_forward = _FeedForward(config.width, config.hidden)
        self.attention_norm = nn.RMSNorm(config.width, eps=1e-5)
        self.ffn_norm = nn.RMSNorm(config.width, eps=1e-5)

    def forward(self, x: Tensor, mask: Tensor, cache: list[Tensor] | None, place: int) -> Tensor:
        h = x + self.attention(self.attention_norm(x), mask, cache, place)
        return h + self.feed_forward(self.ffn_norm(h))


class _Decoder(nn.Module):
    def __init__(self, config: SpocConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(_Block(config) for _ in range(config.num_layers))
        self.norm = nn.RMSNorm(config.width, eps=1e-5)
        self.output = nn.Linear(config.width, config.width, bias=False)


class _VisualEncoder(nn.Module):
    def __init__(self, config: SpocConfig, text: T5Encoder) -> None:
        super().__init__()
        width = config.width
        for name in ("fusion_token", "visual_sensor_token_raw_navigation_camera",
                     "visual_sensor_token_raw_manipulation_camera"):  # fmt: skip
            setattr(self, name, nn.Parameter(torch.zeros(width)))
        self.__dict__["text_encoder"] = text  # shared, and loaded already
        self.text_adapter = _adapter(config.text.embed, width)
        self.visual_compressor = nn.Sequential(
            nn.Conv2d(config.image.embed, width, 1), nn.ReLU(), nn.Conv2d(width, width, 1),
            nn.ReLU(),
        )  # fmt: skip
        self.visual_adapter = _adapter(width, width)
        layer = nn.TransformerEncoderLayer(
            width, config.fusion_heads, config.fusion_hidden, batch_first=True
        )
        self.fusion_xformer = nn.TransformerEncoder(
            layer, config.fusion_layers, enable_nested_tensor=False
        )

    def forward(self, cameras: tuple[Tensor, Tensor], tokens: Tensor) -> Tensor:
        """Feature maps [M, C, 7, 12] of both cameras and tokens [M, L] to [M, d]."""
        with torch.no_grad():
            text = self.text_encoder(tokens)
        images = [
            self.visual_adapter(self.visual_compressor(maps).flatten(2).transpose(1, 2)) + token
            for maps, token in zip(
                cameras,
                (self.visual_sensor_token_raw_navigation_camera,
                 self.visual_sensor_token_raw_manipulation_camera),
                strict=True,
            )
        ]  # fmt: skip
        first = self.fusion_token.expand(len(tokens), 1, -1)
        return self.fusion_xformer(torch.cat([first, *images, self.text_adapter(text)], 1))[:, 0]


def _adapter(inputs: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, width), nn.LayerNorm(width), nn.ReLU())


class _Linear(nn.Module):
    def __init__(self, name: str, inputs: int, outputs: int) -> None:
        super().__init__()
        setattr(self, name, nn.Linear(inputs, outputs))


class OriginalNetwork(nn.Module):
    """One tower, with the original's names."""

    def __init__(self, config: SpocConfig, text: T5Encoder, num_envs: int, max_steps: int) -> None:
        super().__init__()
        width = config.width
        self.visual_encoder = _VisualEncoder(config, text)
        self.object_in_hand_embed = nn.Embedding(3, width)
        self.last_actions_embed = nn.Embedding(config.num_actions + 2, width)
        self.decoder = _Decoder(config)
        self.actor = _Linear("linear", width, config.num_actions)
        self.critic = _Linear("fc", width, 1)
        self.register_buffer("div_term", torch.zeros(width // 2), persistent=False)
        self.cache_shape = (num_envs, max_steps, config.num_heads, config.head_dim)
        self.caches: list[list[Tensor]] = []  # of the first step on
        self.counter = 0

    def encode(self, cameras: tuple[Tensor, Tensor], tokens: Tensor, previous: Tensor,
               in_hand: Tensor, time: Tensor) -> Tensor:  # fmt: skip
        """Everything per step: [M, ...] to [M, d]."""
        x = self.visual_encoder(cameras, tokens)
        x = x + self.last_actions_embed(previous) + self.object_in_hand_embed(in_hand)
        angles = time[:, None] * self.div_term
        position = torch.zeros_like(x)
        position[:, 0::2], position[:, 1::2] = angles.sin(), angles.cos()
        return x + position

    def step(self, x: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
        """One step [N, d] of every environment: logits and values."""
        rows = list(range(len(x)))
        if not self.caches:
            self.caches = [
                [x.new_zeros(self.cache_shape) for _ in range(2)] for _ in self.decoder.layers
            ]
        self.caches = [[keys[rows], values[rows]] for keys, values in self.caches]
        places = torch.arange(self.counter + 1, device=x.device)
        mask = (places >= (self.counter - time).clamp(min=0)[:, None])[:, None]
        h = x[:, None]
        for block, cache in zip(self.decoder.layers, self.caches, strict=True):
            h = block(h, mask, cache, self.counter)
        self.counter += 1
        logits, values = self._heads(h)
        return logits[:, 0], values[:, 0]

    def rollout(self, x: Tensor, trajectory: Tensor) -> tuple[Tensor, Tensor]:
        """Whole rollouts [N, T, d] with trajectory ids [N, T]: logits and values."""
        mask = (trajectory[:, :, None] == trajectory[:, None]).tril()
        for block in self.decoder.layers:
            x = block(x, mask, None, 0)
        return self._heads(x)

    def _heads(self, h: Tensor) -> tuple[Tensor, Tensor]:
        beliefs = self.decoder.output(self.decoder.norm(h))
        values = self.critic.fc(beliefs)
        self.critic.fc(beliefs.detach())
        norm = 0.0
        for parameter in self.parameters():
            if parameter.grad is not None:
                norm += parameter.grad.norm(2).item() ** 2
        return self.actor.linear(beliefs), values[..., 0]


def original_towers(policy: Policy, num_envs: int, max_steps: int) -> list[OriginalNetwork]:
    """Actor and critic network of the original with the weights of our two-tower policy."""
    config = policy.config
    assert isinstance(config, SpocConfig) and policy.instructions is not None
    weights = export_weights(policy.state_dict(), entries(config, "rl"), width=config.width)
    text = policy.instructions.encoder
    assert isinstance(text, T5Encoder)
    towers = []
    for prefix in ("", CRITIC_TOWER):
        network = OriginalNetwork(config, text, num_envs, max_steps)
        own = _of_tower(weights, prefix)
        network.div_term.copy_(own.pop(TIME_TABLE))
        network.load_state_dict(own)
        towers.append(network.to(policy.device))
    return towers


def _of_tower(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    named = {
        name.removeprefix(prefix): tensor
        for name, tensor in weights.items()
        if name.startswith(CRITIC_TOWER) == bool(prefix)
    }
    return {name: t for name, t in named.items() if not name.startswith(_TEXT)}
