"""The update: epochs over minibatches of one rollout. The only writer of weights in PPO."""

import copy
import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from flare.errors import UserError
from flare.policy.kv_cache import KVPrefix
from flare.policy.observation import Observation
from flare.policy.policy import Policy
from flare.ppo import losses, schedule
from flare.ppo.config import PPOConfig

_GROUPS = ("actor", "critic")  # names of the optimizer's parameter groups, in this order


class RolloutBatch(Protocol):
    """One rollout, T steps of N environments; the collector's rollouts are of this form."""

    @property
    def obs(self) -> Observation:
        """[T, N, ...]."""

    @property
    def actions(self) -> Tensor:
        """[T, N] int64."""

    @property
    def log_probs(self) -> Tensor:
        """[T, N] float32, when the actions were taken."""

    @property
    def values(self) -> Tensor:
        """[T, N] float32, when the actions were taken."""

    @property
    def advantages(self) -> Tensor:
        """[T, N] float32."""

    @property
    def returns(self) -> Tensor:
        """[T, N] float32."""

    @property
    def episode_start(self) -> Tensor:
        """[T, N] bool."""

    @property
    def valid(self) -> Tensor:
        """[T, N] bool; other steps do not count: the update is as if they were not there."""

    @property
    def prefix(self) -> KVPrefix | None:
        """What the environments remembered before step 0."""


class Anchor:
    """The policy that PPO began from, frozen: what ``anchor_coef`` holds the new one to.

    In memory mode ``carry`` it reads the keys that the policy remembers. They are those of the
    policy's weights, not its own, but without them the two would differ by what they know, and the
    anchor would pull the policy towards forgetting.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = copy.deepcopy(policy).requires_grad_(False).eval()

    @torch.no_grad()
    def logits(
        self, obs: Observation, episode_start: Tensor, prefix: KVPrefix | None = None
    ) -> Tensor:
        """[T, N, A] float32; arguments as in Policy.evaluate_actions."""
        return self.policy.evaluate_logits(obs, episode_start, prefix)


def make_optimizer(policy: Policy, config: PPOConfig) -> Adam:
    """Adam with the groups ``actor`` and ``critic``, each with its learning rate."""
    groups = (policy.actor_parameters(), policy.critic_parameters())
    return Adam(
        [
            {"params": list(group), "name": name, "lr": _base_rate(config, name)}
            for name, group in zip(_GROUPS, groups, strict=True)
        ],
        eps=config.adam_eps,
        fused=True,
    )


def ppo_update(
    policy: Policy,
    optimizer: Optimizer,
    batch: RolloutBatch,
    config: PPOConfig,
    *,
    progress: float,
    step: int,
    anchor: Anchor | None = None,
) -> dict[str, float]:
    """Improve the policy on one rollout; num_epochs passes over blocks of environments.

    While the critic warms up (see PPOConfig) only its parameters and their optimizer state move.
    Before each gradient step three numbers are fetched, to refuse a loss that is not finite and to
    stop at target_kl; all other statistics are fetched once.

    Args:
        policy: its image encoder stays as it is: the rollout's features are constants here.
        optimizer: of make_optimizer, its learning rates are set here.
        batch: the rollout, [T, N].
        config: settings.
        progress: share of the run that is done, in [0, 1].
        step: environment steps of all worlds before this rollout.
        anchor: reference policy; needed if anchor_coef is not 0.

    Returns:
        Means over the gradient steps of ``policy_loss``, ``value_loss``, ``entropy``,
        ``approx_kl``, ``clip_fraction``, ``grad_norm`` and ``kl_to_anchor``; further
        ``explained_variance`` (of the values that collected the rollout),
        ``first_epoch_ratio_max_error`` (max |ratio - 1| before the first step),
        ``critic_warmup`` (1 or 0), ``gradient_steps``, ``actor_learning_rate`` and
        ``anchor_coef``. While the critic warms up the actor's are 0.

    Raises:
        UserError: no step counts; or a loss or gradient that is not finite: the weights are those
            before that step.
        ValueError: fewer environments than minibatches, or an anchor is missing.
    """
    valid = _valid_or_none(batch)
    explained = float(
        losses.explained_variance(_counted(batch.values, valid), _counted(batch.returns, valid))
    )
    warmup = schedule.is_critic_warmup(config, step, explained)
    share = schedule.learning_rate_share(config, progress)
    for group in optimizer.param_groups:
        group["lr"] = share * _base_rate(config, group["name"])
    work = _Minibatches(policy, batch, valid, config, progress, anchor, warmup)
    steps: list[dict[str, Tensor]] = []
    for start, stop in work.schedule():
        loss, stats = work.loss(start, stop)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        stats["grad_norm"] = nn.utils.clip_grad_norm_(_moving(optimizer), config.max_grad_norm)
        steps.append(stats)
        if _must_stop(loss, stats, config, len(steps)):
            break
        optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return {
        **_fetch(steps),
        "explained_variance": explained,
        "critic_warmup": float(warmup),
        "actor_learning_rate": share * config.actor_learning_rate,
        "anchor_coef": work.anchor_coef,
    }


class _Minibatches:
    """The rollout's blocks of environments and their losses."""

    def __init__(
        self,
        policy: Policy,
        batch: RolloutBatch,
        valid: Tensor | None,
        config: PPOConfig,
        progress: float,
        anchor: Anchor | None,
        warmup: bool,
    ) -> None:
        self.policy, self.batch, self.config, self.warmup = policy, batch, config, warmup
        self.valid = valid  # None: every step counts
        self.num_envs = batch.actions.shape[1]
        if self.num_envs < config.num_minibatches:
            raise ValueError(
                f"{config.num_minibatches} minibatches need as many environments, "
                f"got {self.num_envs}"
            )
        self.advantages = batch.advantages
        if config.normalize_advantages:
            normal = losses.normalise_advantages(_counted(batch.advantages, valid))
            self.advantages = (
                normal if valid is None else batch.advantages.masked_scatter(valid, normal)
            )
        self.anchor_coef = schedule.anchor_coef(config, progress)
        self.reference: Tensor | None = None
        if self.anchor_coef > 0 and not warmup:
            if anchor is None:
                raise ValueError(f"anchor_coef is {self.anchor_coef}, but there is no anchor")
            self.reference = anchor.logits(batch.obs, batch.episode_start, batch.prefix)

    def schedule(self) -> Iterator[tuple[int, int]]:
        """First and past-last environment of every minibatch of every epoch.

        Sizes differ by at most one environment. Blocks are views of the rollout, in one order; one
        without a step that counts is left out.
        """
        count = self.config.num_minibatches
        edges = [self.num_envs * i // count for i in range(count + 1)]
        blocks = [
            (start, stop)
            for start, stop in pairwise(edges)
            if self.valid is None or bool(self.valid[:, start:stop].any())
        ]
        for _ in range(self.config.num_epochs):
            yield from blocks

    def loss(self, start: int, stop: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss to minimise on environments start to stop, and its statistics."""
        batch, envs = self.batch, slice(start, stop)
        valid = None if self.valid is None else self.valid[:, envs]
        obs, begins = batch.obs.envs(start, stop), batch.episode_start[:, envs]
        prefix = None if batch.prefix is None else batch.prefix.envs(start, stop)
        returns = _counted(batch.returns[:, envs], valid)
        if self.warmup:
            values = self.policy.evaluate_values(obs, begins, prefix)
            loss, _ = losses.value_loss(_counted(values, valid), returns)
            return loss, {"value_loss": loss.detach()}
        out = self.policy.evaluate_actions(obs, batch.actions[:, envs], begins, prefix)
        old_log_probs, advantages, old_values = (
            _counted(a[:, envs], valid) for a in (batch.log_probs, self.advantages, batch.values)
        )
        policy_loss, stats = losses.clipped_surrogate_loss(
            _counted(out.log_prob, valid), old_log_probs, advantages, self.config.clip_coef
        )
        value_loss = self._value_loss(_counted(out.value, valid), old_values, returns)
        entropy = _counted(out.entropy, valid).mean()
        loss = policy_loss + self.config.value_loss_coef * value_loss
        if self.config.entropy_coef:
            loss = loss - self.config.entropy_coef * entropy
        if self.reference is not None:
            kl, kl_stats = losses.kl_to_reference(
                _counted(out.logits, valid), _counted(self.reference[:, envs], valid)
            )
            loss = loss + self.anchor_coef * kl
            stats.update(kl_stats)
        stats.update(
            policy_loss=policy_loss.detach(),
            value_loss=value_loss.detach(),
            entropy=entropy.detach(),
        )
        return loss, stats

    def _value_loss(self, values: Tensor, old_values: Tensor, returns: Tensor) -> Tensor:
        if self.config.value_loss == "plain":
            return losses.value_loss(values, returns)[0]
        return losses.clipped_value_loss(values, old_values, returns, self.config.clip_coef)[0]


def _valid_or_none(batch: RolloutBatch) -> Tensor | None:
    """Which steps count; None if all do, as nearly always."""
    if bool(batch.valid.all()):
        return None
    if not bool(batch.valid.any()):
        raise UserError(
            "no step of this rollout counts: the worlds failed in every one",
            mend="find out why they fail; `flare doctor` checks the installation",
        )
    return batch.valid


def _counted(steps: Tensor, valid: Tensor | None) -> Tensor:
    """[T, n, ...] as it is, or [k, ...] the k steps that count, so that means are over these."""
    return steps if valid is None else steps[valid]


def _base_rate(config: PPOConfig, group: str) -> float:
    return config.actor_learning_rate if group == "actor" else config.critic_learning_rate


def _moving(optimizer: Optimizer) -> list[Tensor]:
    """Parameters that have a gradient; Adam leaves the others and their state alone."""
    return [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]


def _must_stop(loss: Tensor, stats: dict[str, Tensor], config: PPOConfig, step: int) -> bool:
    """Whether the update ends before this gradient step; refuses numbers that are not finite."""
    kl = stats.get("approx_kl", torch.zeros_like(loss))
    numbers = torch.stack([loss.detach(), stats["grad_norm"], kl]).tolist()
    if not all(math.isfinite(number) for number in numbers):
        raise UserError(
            f"gradient step {step} of a PPO update has loss {numbers[0]} and "
            f"gradient norm {numbers[1]}",
            mend="lower actor_learning_rate and critic_learning_rate, and go on from the last "
            "checkpoint",
        )
    return config.target_kl is not None and numbers[2] > config.target_kl


def _fetch(steps: list[dict[str, Tensor]]) -> dict[str, float]:
    """Means over gradient steps, with one transfer from the device."""
    names = ("policy_loss", "value_loss", "entropy", "approx_kl", "clip_fraction", "grad_norm",
             "kl_to_anchor", "ratio_error")  # fmt: skip
    zero = torch.zeros_like(steps[0]["value_loss"])
    table = torch.stack([torch.stack([s.get(name, zero) for name in names]) for s in steps])
    rows = table.double().cpu()
    means = dict(zip(names, rows.mean(0).tolist(), strict=True))
    del means["ratio_error"]
    first = float(rows[0, names.index("ratio_error")])
    return {**means, "first_epoch_ratio_max_error": first, "gradient_steps": float(len(steps))}
