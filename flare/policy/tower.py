"""One tower: everything between image features and a head. Actor and critic have one each."""

import math

import torch
from torch import Tensor, nn

from flare.policy.config import PolicyConfig
from flare.policy.goal_encoder import GoalEncoder, GoalFusion
from flare.policy.kv_cache import KVCache, KVPrefix
from flare.policy.observation import Observation
from flare.policy.transformer import Decoder


class TimeEncoding(nn.Module):
    """Sinusoids of the step: ``sin(t·w_k)`` at place 2k, ``cos(t·w_k)`` at 2k + 1.

    ``w_k = exp(-2k · ln(10000) / d)`` (Vaswani et al. 2017, section 3.5). No longest episode.
    """

    frequencies: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        exponent = torch.arange(0, width, 2, dtype=torch.float32) * (-math.log(10_000.0) / width)
        self.register_buffer("frequencies", exponent.exp(), persistent=False)

    def forward(self, time_step: Tensor) -> Tensor:
        """[...] int64 to [..., d] float32."""
        angles = time_step[..., None] * self.frequencies
        return torch.stack((angles.sin(), angles.cos()), -1).flatten(-2)


class Tower(nn.Module):
    """Instruction, image features, previous action and time, then the decoder over the episode."""

    def __init__(self, config: PolicyConfig, first_layer: int) -> None:
        """first_layer: where this tower's layers begin in the KV cache."""
        super().__init__()
        self.first_layer = first_layer
        self.goal_encoder = GoalEncoder(config)
        self.fusion = GoalFusion(config)
        self.prev_action = nn.Embedding(config.num_actions + 1, config.width)
        self.time_encoding = TimeEncoding(config.width)
        self.decoder = Decoder(config)

    def forward(self, obs: Observation, segment_ids: Tensor, prefix: KVPrefix | None) -> Tensor:
        """Steps [N, T] (batch first) to beliefs [N, T, d].

        Args:
            obs: observations with leading axes [N, T].
            segment_ids: [N, T] integers, 0 before the first episode start.
            prefix: what the environments remembered before step 0.
        """
        envs, steps = obs.time_step.shape
        x = self._embed(
            Observation(
                features=obs.features.flatten(0, 1),
                tokens=obs.tokens.flatten(0, 1),
                prev_action=obs.prev_action.flatten(),
                time_step=obs.time_step.flatten(),
                facts=obs.facts,
            )
        )
        x = x.view(envs, steps, -1)
        beliefs: Tensor = self.decoder(x, segment_ids, prefix, self.first_layer)
        return beliefs

    def step(self, obs: Observation, cache: KVCache, used: int) -> Tensor:
        """Observations [N] to beliefs [N, d]; fills the next place of the cache's layers."""
        return self.decoder.step(self._embed(obs), cache, self.first_layer, used)

    def _embed(self, obs: Observation) -> Tensor:
        """Observations [M] to the decoder's input [M, d]."""
        goal = self.goal_encoder(obs.tokens)
        x = self.fusion(obs.features, goal) + goal
        out: Tensor = x + self.prev_action(obs.prev_action) + self.time_encoding(obs.time_step)
        return out
