"""One tower: everything between image features and a head. Actor and critic have one each."""

from torch import Tensor, nn

from flare.kernels.step_embedding import step_embedding
from flare.policy.config import PolicyConfig
from flare.policy.goal_encoder import GoalEncoder, GoalFusion
from flare.policy.kv_cache import KVCache, KVPrefix
from flare.policy.observation import Observation
from flare.policy.spoc.instruction_encoder import Words
from flare.policy.time_encoding import TimeEncoding
from flare.policy.transformer import Decoder


class Tower(nn.Module):
    """Instruction, image, previous action, hand and time, then the decoder over the episode."""

    def __init__(self, config: PolicyConfig, first_layer: int) -> None:
        """first_layer: where this tower's layers begin in the KV cache."""
        super().__init__()
        self.first_layer = first_layer
        self.goal_encoder = GoalEncoder(config)
        self.fusion = GoalFusion(config)
        self.prev_action = nn.Embedding(config.num_actions + 1, config.width)
        self.in_hand = nn.Embedding(2, config.width) if config.sees_hand else None
        self.time_encoding = TimeEncoding(config.width)
        self.decoder = Decoder(config)

    def forward(
        self, obs: Observation, words: Words | None, segment_ids: Tensor, prefix: KVPrefix | None
    ) -> Tensor:
        """Steps [N, T] (batch first) to beliefs [N, T, d].

        Args:
            obs: observations with leading axes [N, T].
            words: not read, this tower embeds the word ids itself.
            segment_ids: [N, T] integers, 0 before the first episode start.
            prefix: what the environments remembered before step 0.
        """
        envs, steps = obs.time_step.shape
        x = self._embed(obs.flat()).view(envs, steps, -1)
        beliefs: Tensor = self.decoder(x, segment_ids, prefix, self.first_layer)
        return beliefs

    def step(self, obs: Observation, words: Words | None, cache: KVCache) -> Tensor:
        """Observations [N] to beliefs [N, d]; fills the open step of the cache's layers."""
        return self.decoder.step(self._embed(obs), cache, self.first_layer)

    def _embed(self, obs: Observation) -> Tensor:
        """Observations [M] to the decoder's input [M, d]."""
        goal = self.goal_encoder(obs.tokens)
        x: Tensor = self.fusion(obs.features.to(goal.dtype), goal) + goal
        return step_embedding(
            x, self.prev_action.weight, None if self.in_hand is None else self.in_hand.weight,
            action=obs.prev_action, hand=obs.in_hand, step=obs.time_step,
            frequencies=self.time_encoding.frequencies,
        )  # fmt: skip
