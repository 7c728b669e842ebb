"""One tower: everything between frozen features and a head. Actor and critic have one each."""

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flare.kernels.add_layernorm import add_layernorm
from flare.kernels.layernorm_relu_token import layernorm_relu_token
from flare.kernels.linear_activation import linear_relu
from flare.kernels.step_embedding import step_embedding
from flare.policy.kv_cache import KVCache, KVPrefix
from flare.policy.observation import Observation
from flare.policy.spoc.config import SpocConfig
from flare.policy.spoc.cross_decoder import CrossDecoder, StepText
from flare.policy.spoc.fusion import Fusion
from flare.policy.spoc.instruction_encoder import Words
from flare.policy.time_encoding import TimeEncoding
from flare.policy.transformer import Decoder


class Adapter(nn.Module):
    """``relu(LayerNorm(linear(x)))``."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """[..., inputs] to [..., width]."""
        return F.relu(add_layernorm(self.linear(x), None, self.norm.weight, self.norm.bias))


class CellEncoder(nn.Module):
    """Image features to tokens, cell by cell; the cameras share the weights and add a token each.

    The original's two 1 x 1 convolutions are linear layers over the channels of a cell.
    """

    def __init__(self, config: SpocConfig) -> None:
        super().__init__()
        self.channels, self.num_cameras = config.image.embed, config.image.num_cameras
        self.compress = nn.Linear(self.channels, config.width)
        self.mix = nn.Linear(config.width, config.width)
        self.adapter = Adapter(config.width, config.width)
        self.camera_tokens = nn.Parameter(0.1 * torch.rand(self.num_cameras, config.width))

    def forward(self, features: Tensor, first: Tensor, text: StepText) -> Tensor:
        """The fusion's sequences: ``first``, the cells' tokens, the text's.

        Args:
            features: [M, F].
            first: [d].
            text: of the same M steps.

        Returns:
            [M, 1 + cameras · cells + L, d].
        """
        cells = features.view(len(features), self.num_cameras, -1, self.channels)
        x = linear_relu(cells, self.compress.weight, self.compress.bias)
        x = self.adapter.linear(linear_relu(x, self.mix.weight, self.mix.bias))
        norm = self.adapter.norm
        return layernorm_relu_token(
            x, norm.weight, norm.bias, self.camera_tokens, first=first, tail=text.tokens,
            index=text.index,
        )  # fmt: skip


class SpocTower(nn.Module):
    """Fusion of cells and instruction, plus previous action, hand and time; then the decoder."""

    def __init__(self, config: SpocConfig, first_layer: int) -> None:
        """first_layer: where this tower's layers begin in the KV cache."""
        super().__init__()
        self.first_layer = first_layer
        self.has_padding = config.compat.text_padding
        self.cells = CellEncoder(config)
        self.text_adapter = Adapter(config.text.embed, config.width)
        self.fusion = Fusion(config)
        # Row A: no action yet. Row A + 1: padding of imitation batches, never trained.
        padding = config.num_actions + 1
        self.prev_action = nn.Embedding(padding + 1, config.width, padding_idx=padding)
        self.in_hand = nn.Embedding(3, config.width)  # no, yes, padding
        for embedding in (self.prev_action, self.in_hand):
            nn.init.uniform_(embedding.weight, -0.01, 0.01)
        self.time_encoding = TimeEncoding(config.width)
        self.decoder: Decoder | CrossDecoder
        self.out: nn.Linear | None = None
        if config.decoder == "cross":
            self.decoder = CrossDecoder(config)
        else:
            self.decoder = Decoder(config)
            self.out = nn.Linear(config.width, config.width, bias=False)

    def forward(
        self, obs: Observation, words: Words | None, segment_ids: Tensor, prefix: KVPrefix | None
    ) -> Tensor:
        """Steps [N, T] (batch first) to beliefs [N, T, d].

        Args:
            obs: observations with leading axes [N, T].
            words: their instructions; index [N, T].
            segment_ids: [N, T] integers, 0 before the first episode start.
            prefix: what the environments remembered before step 0.
        """
        envs, steps = obs.time_step.shape
        text = self.read(words)
        # Frames are embedded in the order that the rollout has them in, step by step: there they
        # need no copy. Only what comes out is turned over.
        index = text.index.view(envs, steps).t().flatten()
        x = self.embed(obs.batch_first().flat(), replace(text, index=index))
        x = x.view(steps, envs, -1).transpose(0, 1).contiguous()
        if isinstance(self.decoder, CrossDecoder):
            return self._close(self.decoder(x, text, segment_ids, prefix, self.first_layer))
        return self._close(self.decoder(x, segment_ids, prefix, self.first_layer))

    def step(self, obs: Observation, words: Words | None, cache: KVCache) -> Tensor:
        """Observations [N] to beliefs [N, d]; fills the open step of the cache's layers."""
        text = self.read(words)
        x = self.embed(obs, text)
        if isinstance(self.decoder, CrossDecoder):
            return self._close(self.decoder.step(x, text, cache, self.first_layer))
        return self._close(self.decoder.step(x, cache, self.first_layer))

    def _close(self, x: Tensor) -> Tensor:
        return x if self.out is None else self.out(x)

    def read(self, words: Words | None) -> StepText:
        """The text encoder's features to tokens of the tower's width."""
        assert words is not None  # the policy has an instruction encoder
        lengths = None if self.has_padding or not words.is_ragged else words.lengths
        return StepText(
            tokens=self.text_adapter(words.features), index=words.index.flatten(), lengths=lengths
        )

    def embed(self, obs: Observation, text: StepText) -> Tensor:
        """Observations [M] to the decoder's input [M, d]."""
        x = self.fuse(obs.features, text)
        return step_embedding(
            x, self.prev_action.weight, self.in_hand.weight, action=obs.prev_action,
            hand=obs.in_hand, step=obs.time_step, frequencies=self.time_encoding.frequencies,
            padding=self.prev_action.padding_idx,
        )  # fmt: skip

    def fuse(self, features: Tensor, text: StepText) -> Tensor:
        """Features [M, F] and the instructions of the same M steps to [M, d]."""
        x = self.cells(features.to(text.tokens.dtype), first=self.fusion.token, text=text)
        kv_len = None
        if text.lengths is not None:  # pads stand at the end
            kv_len = text.lengths[text.index] + (x.shape[1] - text.tokens.shape[1])
        fused: Tensor = self.fusion(x, kv_len)
        return fused
