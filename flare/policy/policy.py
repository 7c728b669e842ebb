"""The actor-critic: ``act`` one step with a KV cache, ``evaluate_actions`` whole rollouts."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from flare.policy.config import PolicyConfig
from flare.policy.heads import ActorHead, CriticHead, FactsCritic, sample_actions
from flare.policy.image_encoder import ImageEncoder
from flare.policy.kv_cache import KVCache, KVPrefix
from flare.policy.observation import Observation
from flare.policy.tower import Tower


@dataclass(frozen=True, kw_only=True, slots=True)
class ActOutput:
    """One step of N environments; inference tensors: copy them to where they are kept."""

    action: Tensor  # [N] int64
    log_prob: Tensor  # [N] float32, of the action taken
    value: Tensor  # [N] float32
    logits: Tensor  # [N, A] float32


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluateOutput:
    """Given actions under the current weights, with gradients."""

    log_prob: Tensor  # [T, N] float32
    entropy: Tensor  # [T, N] float32, nats
    value: Tensor  # [T, N] float32
    logits: Tensor  # [T, N, A] float32


class Policy(nn.Module):
    """Actor and critic over a shared image encoder.

    The actor's gradient (or a label loss) is all that may move the encoder: the critic reads
    features without gradient, and shares no other weight with the actor.
    """

    def __init__(self, config: PolicyConfig) -> None:
        super().__init__()
        self.config = config
        self.image_encoder = ImageEncoder(config.image)
        self.actor_tower = Tower(config, first_layer=0)
        self.actor_head = ActorHead(config)
        self.critic_tower: Tower | None = None
        if config.critic == "tower":
            self.critic_tower = Tower(config, first_layer=config.num_layers)
            self.critic_head: nn.Module = CriticHead(config)
        else:
            self.critic_head = FactsCritic(config)

    @property
    def num_actions(self) -> int:
        """A."""
        return self.config.num_actions

    @property
    def num_features(self) -> int:
        """F: length of what encode_frames gives for one step."""
        return self.config.image.num_features

    def num_parameters(self, *, trainable_only: bool = False) -> int:
        """Number of weights; with trainable_only, without the frozen ones."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad or not trainable_only)

    def actor_parameters(self) -> Iterator[nn.Parameter]:
        """Weights behind the logits, the image encoder's included."""
        yield from self.image_encoder.parameters()
        yield from self.actor_tower.parameters()
        yield from self.actor_head.parameters()

    def critic_parameters(self) -> Iterator[nn.Parameter]:
        """Weights behind the values; disjoint from actor_parameters."""
        if self.critic_tower is not None:
            yield from self.critic_tower.parameters()
        yield from self.critic_head.parameters()

    def encode_frames(self, frames: Tensor) -> Tensor:
        """[B, C, H, W, 3] uint8 to features [B, F] float32, with gradient unless frozen.

        ``image_encoder.requires_grad_(False)`` freezes the encoder; then once per frame is enough.
        """
        features: Tensor = self.image_encoder(frames)
        return features

    def new_cache(self, num_envs: int, max_len: int) -> KVCache:
        """An empty memory for num_envs episodes of at most max_len observations."""
        return KVCache(
            num_layers=self.config.num_cached_layers,
            num_envs=num_envs,
            max_len=max_len,
            num_heads=self.config.num_heads,
            head_dim=self.config.head_dim,
            device=self.actor_head.weight.device,
        )

    @torch.inference_mode()
    def act(self, obs: Observation, cache: KVCache, uniforms: Tensor | None) -> ActOutput:
        """Choose actions and append the step to the cache.

        Args:
            obs: observations [N].
            cache: of these N environments; reset those whose episode begins here.
            uniforms: [N] float32 in [0, 1) to sample by; None takes the most probable action.

        Returns:
            ActOutput over [N].
        """
        used = cache.used() + 1
        assert used <= cache.max_len, f"a cache of {cache.max_len} places must take {used}"
        logits = self.actor_head(self.actor_tower.step(obs, cache, used))
        value = self._step_value(obs, cache, used)
        cache.advance()
        action = sample_actions(logits, uniforms)
        log_prob = logits.log_softmax(-1).gather(-1, action[:, None])[:, 0]
        return ActOutput(action=action, log_prob=log_prob, value=value, logits=logits)

    @torch.inference_mode()
    def value(self, obs: Observation, cache: KVCache, env_ids: Tensor) -> Tensor:
        """Value of one more observation of some environments, the cache unchanged.

        For bootstrapping at a truncation or at a rollout's end.

        Args:
            obs: observations [n].
            cache: of all N environments, before any reset of env_ids.
            env_ids: [n] int64, the cache's row of each observation.

        Returns:
            [n] float32.
        """
        if self.critic_tower is None:
            return self._value_of(obs.facts)
        rows = cache.select(env_ids)
        return self._step_value(obs, rows, rows.max_len)

    def _step_value(self, obs: Observation, cache: KVCache, used: int) -> Tensor:
        if self.critic_tower is None:
            return self._value_of(obs.facts)
        return self._value_of(self.critic_tower.step(obs, cache, used))

    def _value_of(self, x: Tensor) -> Tensor:
        value: Tensor = self.critic_head(x)  # of beliefs [..., d], or of facts [..., K]
        return value

    def evaluate_logits(
        self, obs: Observation, episode_start: Tensor, prefix: KVPrefix | None = None
    ) -> Tensor:
        """Logits of every step, [T, N, A] float32; arguments as in evaluate_actions."""
        segment_ids = episode_start.t().cumsum(1)
        beliefs = self.actor_tower(obs.batch_first(), segment_ids, prefix)
        logits: Tensor = self.actor_head(beliefs)
        return logits.transpose(0, 1)

    def evaluate_values(
        self, obs: Observation, episode_start: Tensor, prefix: KVPrefix | None = None
    ) -> Tensor:
        """Values of every step, [T, N] float32; arguments as in evaluate_actions.

        Reaches the critic's parameters only.
        """
        if self.critic_tower is None:
            return self._value_of(obs.facts)
        obs = obs.with_features(obs.features.detach())
        segment_ids = episode_start.t().cumsum(1)
        beliefs = self.critic_tower(obs.batch_first(), segment_ids, prefix)
        return self._value_of(beliefs).t()

    def evaluate_actions(
        self,
        obs: Observation,
        actions: Tensor,
        episode_start: Tensor,
        prefix: KVPrefix | None = None,
    ) -> EvaluateOutput:
        """All steps of a rollout at once, as ``act`` saw them.

        Args:
            obs: observations [T, N].
            actions: [T, N] int64.
            episode_start: [T, N] bool, true at the first observation of an episode.
            prefix: KVCache.prefix() of the rollout's start; visible to the steps before an
                environment's first episode start. None: nothing was remembered.

        Returns:
            EvaluateOutput over [T, N].
        """
        logits = self.evaluate_logits(obs, episode_start, prefix)
        log_probs = logits.log_softmax(-1)
        return EvaluateOutput(
            log_prob=log_probs.gather(-1, actions[..., None])[..., 0],
            entropy=-(log_probs.exp() * log_probs).sum(-1),
            value=self.evaluate_values(obs, episode_start, prefix),
            logits=logits,
        )
