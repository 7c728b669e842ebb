"""Settings of the update. Rollout length, gamma and lambda belong to the collector."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from flare.errors import require

_POSITIVE = ("clip_coef", "actor_learning_rate", "critic_learning_rate", "adam_eps",
             "max_grad_norm")  # fmt: skip
_NOT_NEGATIVE = ("value_loss_coef", "entropy_coef", "anchor_coef", "anchor_coef_end",
                 "critic_warmup_steps", "critic_warmup_max_steps")  # fmt: skip
_SHARES = ("learning_rate_end",)


@dataclass(frozen=True, kw_only=True, slots=True)
class PPOConfig:
    """PPO on rollouts [T, N]; the defaults are those of the original recipe."""

    num_epochs: int = 4  # passes over a rollout
    num_minibatches: int = 1  # per epoch; each is a contiguous block of environments over all T
    # Environments whose activations are held at once; a minibatch of more adds up its gradients.
    # None: all of the minibatch.
    envs_per_pass: int | None = None
    clip_coef: float = 0.1  # of the probability ratio
    value_loss: Literal["plain", "clipped"] = "plain"  # "clipped" uses clip_coef in units of value
    value_loss_coef: float = 0.5  # times a loss that is itself 0.5·MSE
    entropy_coef: float = 0.0  # of the mean entropy, subtracted from the loss
    normalize_advantages: bool = False  # over the whole rollout
    actor_learning_rate: float = 2e-5  # Adam, at progress 0
    critic_learning_rate: float = 2e-5
    learning_rate_end: float = 1.0  # share of both left at progress 1, linear between; 1: constant
    adam_eps: float = 1e-8
    max_grad_norm: float = 0.5  # one L2 norm over actor and critic together
    target_kl: float | None = None  # nats; a minibatch further away ends the update; None: never
    # Critic warm-up: only the critic learns for critic_warmup_steps environment steps, and after
    # them, up to critic_warmup_max_steps, while it explains less than the given share of variance.
    critic_warmup_steps: int = 200_000
    critic_warmup_max_steps: int = 0  # no use below critic_warmup_steps
    critic_warmup_explained_variance: float = 0.0
    anchor_coef: float = 0.0  # of KL(policy || the policy that PPO began from), at progress 0
    anchor_coef_end: float = 0.0  # the same at progress 1, linear between

    def __post_init__(self) -> None:
        for name in ("num_epochs", "num_minibatches"):
            self._check(name, getattr(self, name) >= 1, "use at least 1")
        per_pass = self.envs_per_pass
        self._check("envs_per_pass", per_pass is None or per_pass >= 1, "use at least 1")
        for name in _POSITIVE:
            self._check(name, getattr(self, name) > 0, "use a positive number")
        for name in _NOT_NEGATIVE:
            self._check(name, getattr(self, name) >= 0, "use 0 or more")
        for name in _SHARES:
            self._check(name, 0 <= getattr(self, name) <= 1, "use a number from 0 to 1")
        self._check("value_loss", self.value_loss in ("plain", "clipped"), "'plain' or 'clipped'")
        self._check(
            "target_kl", self.target_kl is None or self.target_kl > 0, "use a positive number"
        )
        self._check(
            "critic_warmup_explained_variance",
            self.critic_warmup_explained_variance < 1,
            "use a number below 1",
        )

    def _check(self, key: str, fine: bool, mend: str) -> None:
        require(fine, f"ppo.{key}", getattr(self, key), mend)


def flare_preset() -> PPOConfig:
    """The original's numbers; it collects T = 128 steps with gamma 0.99 and lambda 0.95."""
    return PPOConfig()


def demo_preset() -> PPOConfig:
    """For the small policy with a critic on facts: bolder steps, held back by an anchor."""
    return PPOConfig(
        num_epochs=4,
        num_minibatches=4,
        clip_coef=0.2,
        normalize_advantages=True,
        actor_learning_rate=5e-4,
        critic_learning_rate=1e-3,
        learning_rate_end=0.1,
        target_kl=0.05,
        critic_warmup_steps=8_192,
        critic_warmup_max_steps=40_960,
        critic_warmup_explained_variance=0.3,
        anchor_coef=0.02,
        anchor_coef_end=0.0,
    )


PRESETS: dict[str, Callable[[], PPOConfig]] = {"flare": flare_preset, "demo": demo_preset}
