"""The actor-critic: ``act`` one step with a KV cache, ``evaluate_actions`` whole rollouts."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from flare.errors import UserError
from flare.kernels.sample_action import sample_action
from flare.policy.heads import (
    ActorHead,
    NetworkConfig,
    SpareHeads,
    make_critic_head,
)
from flare.policy.image_encoder import ImageEncoder
from flare.policy.kv_cache import KVCache, KVPrefix, SharedCounterCache
from flare.policy.observation import Observation
from flare.policy.spoc.augmentation import Augmentations, draw_augmentations
from flare.policy.spoc.config import SpocConfig
from flare.policy.spoc.image_encoder import SpocImageEncoder
from flare.policy.spoc.instruction_encoder import InstructionEncoder, Words
from flare.policy.spoc.tower import SpocTower
from flare.policy.tower import Tower

Text = tuple[Words | None, Words | None]  # what actor and critic read; None where none is needed


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
    """Actor and critic over a shared image encoder, of any config of the family.

    The actor's gradient (or a label loss) is all that may move the encoder: a critic with a tower
    of its own, or over facts, reads features without gradient and shares no weight that moves with
    the actor. A "shared" critic reads the actor's beliefs.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.image_encoder = _image_encoder(config)
        self.instructions: InstructionEncoder | None = None
        self.critic_instructions: InstructionEncoder | None = None
        self.spare: SpareHeads | None = None
        self.actor_tower = _tower(config, first_layer=0)
        self.actor_head = ActorHead(config)
        self.critic_tower: Tower | SpocTower | None = None
        if config.critic == "tower":
            self.critic_tower = _tower(config, first_layer=config.num_layers)
        self.critic_head = make_critic_head(config)
        if isinstance(config, SpocConfig):
            self.instructions = InstructionEncoder(config)
            if config.critic_text == "own":
                self.critic_instructions = InstructionEncoder(config)
            if config.critic == "tower":
                self.spare = SpareHeads(config)

    @property
    def num_actions(self) -> int:
        """A."""
        return self.config.num_actions

    @property
    def num_features(self) -> int:
        """F: length of what encode_frames gives for one step."""
        return self.config.image.num_features

    @property
    def feature_dtype(self) -> torch.dtype:
        """What encode_frames gives: float32, or the weights' dtype."""
        return self.actor_head.weight.dtype

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.actor_head.weight.device

    def num_parameters(self, *, trainable_only: bool = False) -> int:
        """Number of weights; with trainable_only, without the frozen ones."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad or not trainable_only)

    def actor_parameters(self) -> Iterator[nn.Parameter]:
        """Weights behind the logits, the frozen encoders' included."""
        for module in (self.image_encoder, self.instructions, self.actor_tower, self.actor_head):
            if module is not None:
                yield from module.parameters()

    def critic_parameters(self) -> Iterator[nn.Parameter]:
        """Weights behind the values; disjoint from actor_parameters."""
        for module in (self.critic_instructions, self.critic_tower, self.critic_head, self.spare):
            if module is not None:
                yield from module.parameters()

    def encode_frames(self, frames: Tensor, draws: Augmentations | None = None) -> Tensor:
        """[B, C, H, W, 3] uint8 to features [B, F] of feature_dtype, with gradient unless frozen.

        ``image_encoder.requires_grad_(False)`` freezes the encoder; then once per frame is enough.

        Args:
            frames: uint8.
            draws: augmentations of the B x C images, from draw_augmentations.
        """
        features: Tensor
        if draws is None:
            features = self.image_encoder(frames)
        else:
            features = self.image_encoder(frames, draws)
        return features

    def draw_augmentations(
        self, seed: int, env: NDArray[np.int64], episode: NDArray[np.int64], *, call: int
    ) -> Augmentations:
        """The augmentations of one step of some environments; arguments as in the function.

        Raises:
            UserError: a policy whose frames are not augmented.
        """
        config = self.config
        if not isinstance(config, SpocConfig):
            raise UserError(
                "is on, but the small policy takes its frames as they are",
                key="collector.augment",
                mend="turn it off",
            )
        return draw_augmentations(
            seed, env, episode, num_cameras=config.image.num_cameras, compat=config.compat,
            call=call,
        )  # fmt: skip

    def new_cache(self, num_envs: int, max_len: int) -> KVCache:
        """An empty memory for num_envs episodes of at most max_len observations."""
        kind: type[KVCache] = KVCache
        if isinstance(self.config, SpocConfig) and self.config.compat.shared_counter:
            kind, max_len = SharedCounterCache, self.config.compat.max_steps
        return kind(
            num_layers=self.config.num_cached_layers,
            num_envs=num_envs,
            max_len=max_len,
            num_heads=self.config.num_heads,
            head_dim=self.config.head_dim,
            dtype=self.actor_head.weight.dtype,
            device=self.actor_head.weight.device,
        )

    @torch.inference_mode()
    def act(
        self, obs: Observation, cache: KVCache, uniforms: Tensor | None, *, with_value: bool = True
    ) -> ActOutput:
        """Choose actions and append the step to the cache.

        Args:
            obs: observations [N].
            cache: of these N environments; reset those whose episode begins here.
            uniforms: [N] float32 in [0, 1) to sample by; None takes the most probable action.
            with_value: False leaves the critic out and the values zero; then a critic tower has
                no memory of this step, so it must stay out until the cache is restarted.

        Returns:
            ActOutput over [N].
        """
        words, critic_words = self.read(obs.tokens)
        cache.open_step(obs.time_step)
        out = self.decide(obs, words, critic_words, cache, uniforms, with_value=with_value)
        cache.advance()
        return out

    def decide(
        self,
        obs: Observation,
        words: Words | None,
        critic_words: Words | None,
        cache: KVCache,
        uniforms: Tensor | None,
        *,
        with_value: bool = True,
    ) -> ActOutput:
        """``act`` between opening the cache's step and counting it: no text, no bookkeeping."""
        beliefs = self.actor_tower.step(obs, words, cache)
        logits = self.actor_head(beliefs).float()
        if with_value:
            value = self._step_value(obs, critic_words, cache, beliefs)
        else:
            value = logits.new_zeros(len(logits))
        action, log_prob, _ = sample_action(logits, uniforms)
        return ActOutput(action=action, log_prob=log_prob, value=value, logits=logits)

    def read_rollout(self, obs: Observation) -> Text:
        """The text of observations [T, N], in the order that the towers read it in."""
        return self.read(obs.batch_first().tokens)

    def read(self, tokens: Tensor) -> Text:
        """Token ids [..., L] to the text that actor and critic read; None where none is needed."""
        if self.instructions is None:
            return None, None
        words = self.instructions(tokens)
        if self.critic_instructions is None:
            return words, words
        return words, self.critic_instructions(tokens)

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
        if self.config.critic == "facts":
            return self._value_of(obs.facts)
        rows = cache.select(env_ids)
        rows.open_step(obs.time_step)
        words, critic_words = self.read(obs.tokens)
        beliefs = None
        if self.critic_tower is None:
            beliefs = self.actor_tower.step(obs, words, rows)
        return self._step_value(obs, critic_words, rows, beliefs)

    def _step_value(
        self, obs: Observation, words: Words | None, cache: KVCache, beliefs: Tensor | None
    ) -> Tensor:
        """beliefs: the actor's, for a shared critic."""
        if self.critic_tower is not None:
            return self._value_of(self.critic_tower.step(obs, words, cache))
        if self.config.critic == "facts":
            return self._value_of(obs.facts)
        assert beliefs is not None  # a shared critic has them from the actor
        return self._value_of(beliefs)

    def _value_of(self, x: Tensor) -> Tensor:
        # Of beliefs [..., d], or of facts [..., K], which are float32 whatever the weights are.
        value: Tensor = self.critic_head(x.to(self.feature_dtype))
        return value.float()

    def _beliefs(
        self,
        tower: Tower | SpocTower,
        obs: Observation,
        episode_start: Tensor,
        prefix: KVPrefix | None,
        text: Text | None,
        *,
        of_critic: bool = False,
    ) -> Tensor:
        """[N, T, d] of one tower; arguments as in evaluate."""
        batch = obs.batch_first()
        words = (self.read_rollout(obs) if text is None else text)[of_critic]
        segment_ids = episode_start.t().cumsum(1)
        beliefs: Tensor = tower(batch, words, segment_ids, prefix)
        return beliefs

    def _logits_of(self, beliefs: Tensor) -> Tensor:
        """Beliefs [N, T, d] to logits [T, N, A] float32."""
        logits: Tensor = self.actor_head(beliefs)
        return logits.transpose(0, 1).float()

    def evaluate_logits(
        self, obs: Observation, episode_start: Tensor, prefix: KVPrefix | None = None
    ) -> Tensor:
        """Logits of every step, [T, N, A] float32; arguments as in evaluate_actions."""
        return self._logits_of(self._beliefs(self.actor_tower, obs, episode_start, prefix, None))

    def evaluate_values(
        self,
        obs: Observation,
        episode_start: Tensor,
        prefix: KVPrefix | None = None,
        *,
        text: Text | None = None,
    ) -> Tensor:
        """Values of every step, [T, N] float32; arguments as in evaluate.

        Reaches the critic's parameters only, unless the critic is "shared".
        """
        if self.config.critic == "facts":
            return self._value_of(obs.facts)
        if self.critic_tower is None:
            beliefs = self._beliefs(self.actor_tower, obs, episode_start, prefix, text)
            return self._value_of(beliefs).t()
        obs = obs.with_features(obs.features.detach())
        beliefs = self._beliefs(self.critic_tower, obs, episode_start, prefix, text, of_critic=True)
        return self._value_of(beliefs).t()

    def evaluate(
        self,
        obs: Observation,
        episode_start: Tensor,
        prefix: KVPrefix | None = None,
        *,
        text: Text | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Logits [T, N, A] and values [T, N] float32; arguments as in evaluate_actions.

        text: read_rollout of the observations, for who evaluates them again and again.
        """
        beliefs = self._beliefs(self.actor_tower, obs, episode_start, prefix, text)
        if self.config.critic == "shared":
            return self._logits_of(beliefs), self._value_of(beliefs).t()
        values = self.evaluate_values(obs, episode_start, prefix, text=text)
        return self._logits_of(beliefs), values

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
        logits, value = self.evaluate(obs, episode_start, prefix)
        log_probs = logits.log_softmax(-1)
        return EvaluateOutput(
            log_prob=log_probs.gather(-1, actions[..., None])[..., 0],
            entropy=-(log_probs.exp() * log_probs).sum(-1),
            value=value,
            logits=logits,
        )


def _image_encoder(config: NetworkConfig) -> ImageEncoder | SpocImageEncoder:
    if isinstance(config, SpocConfig):
        return SpocImageEncoder(config)
    return ImageEncoder(config.image)


def _tower(config: NetworkConfig, first_layer: int) -> Tower | SpocTower:
    if isinstance(config, SpocConfig):
        return SpocTower(config, first_layer)
    return Tower(config, first_layer)
