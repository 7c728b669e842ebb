"""The update: epochs over minibatches of one rollout. The only writer of weights in PPO."""

import copy
import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor

from flare.errors import UserError
from flare.kernels.flat_adam import FlatAdam
from flare.kernels.ppo_loss import STATS, ppo_loss
from flare.kernels.ppo_terms import value_loss
from flare.policy.kv_cache import KVPrefix
from flare.policy.observation import Observation
from flare.policy.policy import Policy, Text
from flare.ppo import losses, schedule
from flare.ppo.config import PPOConfig
from flare.ranks import ALONE, Ranks

_GROUPS = ("actor", "critic")  # names of the optimizer's parameter groups, in this order
# Columns of a gradient step's row: its statistics, then loss and gradient norm.
_KL, _LOSS, _NORM = STATS.index("approx_kl"), len(STATS), len(STATS) + 1


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


def make_optimizer(
    policy: Policy, config: PPOConfig, working_dtype: torch.dtype | None = None
) -> FlatAdam:
    """Adam with the groups ``actor`` and ``critic``, each with its learning rate.

    The policy must be on its device: its parameters become views of one buffer per group, of
    working_dtype where one is given (see FlatAdam).
    """
    groups = (policy.actor_parameters(), policy.critic_parameters())
    return FlatAdam(
        [
            {"params": list(group), "name": name, "lr": _base_rate(config, name)}
            for name, group in zip(_GROUPS, groups, strict=True)
        ],
        max_norm=config.max_grad_norm,
        eps=config.adam_eps,
        working_dtype=working_dtype,
    )


def ppo_update(
    policy: Policy,
    optimizer: FlatAdam,
    batch: RolloutBatch,
    config: PPOConfig,
    *,
    progress: float,
    step: int,
    anchor: Anchor | None = None,
    ranks: Ranks = ALONE,
) -> dict[str, float]:
    """Improve the policy on one rollout; num_epochs passes over blocks of environments.

    While the critic warms up (see PPOConfig) only its parameters and their optimizer state move.
    Nothing waits for the device in between: whether the update goes on after a gradient step is
    decided there, steps behind the last one are called off, and all statistics are fetched once.

    Args:
        policy: its image encoder stays as it is: the rollout's features are constants here.
        optimizer: of make_optimizer, its learning rates are set here.
        batch: the rollout, [T, N].
        config: settings.
        progress: share of the run that is done, in [0, 1].
        step: environment steps of all worlds before this rollout.
        anchor: reference policy; needed if anchor_coef is not 0.
        ranks: the processes that improve the same policy, each on a rollout of its own. A minibatch
            is the sum of theirs, and its loss the mean over all their steps.

    Returns:
        Means over the gradient steps of ``policy_loss``, ``value_loss``, ``entropy``,
        ``approx_kl``, ``clip_fraction``, ``grad_norm`` and ``kl_to_anchor``; further
        ``explained_variance`` (of the values that collected the rollout),
        ``first_epoch_ratio_max_error`` (max |ratio - 1| before the first step),
        ``critic_warmup`` (1 or 0), ``gradient_steps``, ``actor_learning_rate``, ``anchor_coef``
        and ``skipped``: 1 where a loss or gradient was not finite; then that step and those behind
        it were not taken and do not count. While the critic warms up the actor's are 0.

    Raises:
        UserError: no step of the rollout counts.
        ValueError: fewer environments than minibatches, or an anchor is missing.
    """
    valid = _valid_or_none(batch, ranks)
    explained = float(
        losses.explained_variance(
            _counted(batch.values, valid), _counted(batch.returns, valid), ranks
        )
    )
    warmup = schedule.is_critic_warmup(config, step, explained)
    share = schedule.learning_rate_share(config, progress)
    for group in optimizer.param_groups:
        group["lr"] = share * _base_rate(config, group["name"])
    work = _Minibatches(policy, batch, valid, config, progress, anchor, warmup, ranks)
    steps = _Steps(config)
    for start, stop in work.schedule():
        optimizer.zero_grad(set_to_none=True)
        loss, stats = work.backward(start, stop)
        norm = optimizer.gather(ranks.add if ranks.count > 1 else None)
        optimizer.step(norm=norm, alive=steps.add(loss, norm, stats))
        # With others only where all know it at the same step.
        if (ranks.count == 1 or norm.is_cpu) and steps.is_over():
            break
    optimizer.zero_grad(set_to_none=True)
    return {
        **steps.fetch(),
        "explained_variance": explained,
        "critic_warmup": float(warmup),
        "actor_learning_rate": share * config.actor_learning_rate,
        "anchor_coef": work.anchor_coef,
    }


class _Steps:
    """The update's gradient steps: their statistics, and whether there is a next one."""

    def __init__(self, config: PPOConfig) -> None:
        self.target_kl = math.inf if config.target_kl is None else config.target_kl
        self._rows: list[Tensor] = []
        self._alive: Tensor | None = None
        # What is known of it on the CPU: a copy, and the event behind it where the copy is on its
        # way from a device.
        self._known: list[tuple[Tensor, torch.cuda.Event | None]] = []

    def add(self, loss: Tensor, norm: Tensor, stats: Tensor) -> Tensor:
        """Take note of a gradient step; returns [] float32, 1 if it counts and 0 if not."""
        row = torch.cat([stats, torch.stack([loss, norm])])
        finite = torch.isfinite(row[[_LOSS, _NORM, _KL]]).all()
        alive = (finite & (row[_KL] <= self.target_kl)).float()
        alive = alive if self._alive is None else alive * self._alive
        self._rows.append(torch.cat([row, alive[None]]))
        self._alive = alive
        if alive.is_cpu:
            self._known.append((alive, None))
        else:
            copy = torch.empty((), pin_memory=True)
            copy.copy_(alive, non_blocking=True)
            event = torch.cuda.Event()  # type: ignore[no-untyped-call]
            event.record()
            self._known.append((copy, event))
        return alive

    def is_over(self) -> bool:
        """Whether a step is known to have been the last; on a device that may come late."""
        while self._known:
            copy, event = self._known[0]
            if event is not None and not event.query():  # type: ignore[no-untyped-call]
                return False
            if float(copy) == 0.0:
                return True
            del self._known[0]
        return False

    def fetch(self) -> dict[str, float]:
        """Means over the gradient steps that count, with one transfer from the device."""
        rows = torch.stack(self._rows).double().cpu()
        ended = (rows[:, -1] == 0).nonzero()[:, 0].tolist()
        rows = rows[: ended[0] + 1] if ended else rows
        skipped = not bool(torch.isfinite(rows[-1, [_LOSS, _NORM, _KL]]).all())
        rows = rows[:-1] if skipped else rows
        means = dict(zip((*STATS, "loss", "grad_norm"), rows[:, :-1].mean(0).tolist(), strict=True))
        for name in ("loss", "ratio_error", "count"):
            del means[name]
        first = float(rows[0, STATS.index("ratio_error")]) if len(rows) else math.nan
        return {
            **means,
            "first_epoch_ratio_max_error": first,
            "gradient_steps": float(len(rows)),
            "skipped": float(skipped),
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
        ranks: Ranks,
    ) -> None:
        self.ranks = ranks
        self.policy, self.batch, self.config, self.warmup = policy, batch, config, warmup
        self.valid = valid  # None: every step counts
        self._texts: dict[int, Text] = {}  # by a block's first environment
        self.num_envs = batch.actions.shape[1]
        if self.num_envs < config.num_minibatches:
            raise ValueError(
                f"{config.num_minibatches} minibatches need as many environments, "
                f"got {self.num_envs}"
            )
        self.advantages = batch.advantages
        if config.normalize_advantages:
            normal = losses.normalise_advantages(_counted(batch.advantages, valid), ranks)
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
            if self.ranks.count > 1 or self._count(start, stop)
        ]
        for _ in range(self.config.num_epochs):
            yield from blocks

    def backward(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Gradients of the mean loss over environments start to stop, a part at a time.

        Returns: the loss and its statistics, as STATS: of parts the means by the steps that count,
            and the largest ratio_error.
        """
        size = self.config.envs_per_pass or stop - start
        parts = [(first, min(first + size, stop)) for first in range(start, stop, size)]
        counts = [self._count(*part) for part in parts]
        total = self._total(counts)
        rows, shares = [], []
        for part, count in zip(parts, counts, strict=True):
            # A process without a step that counts gives zeros to who waits for its gradients.
            if count or (self.ranks.count > 1 and not sum(counts)):
                loss, stats = self.loss(*part, counts_all=not count)
                torch.autograd.backward(loss * (count / total))
                rows.append(torch.cat([stats, loss.detach()[None]]))
                shares.append(count / total)
        return self._mean(torch.stack(rows), shares)

    def _total(self, counts: list[int]) -> int:
        if self.ranks.count == 1 or self.valid is None:
            return sum(counts) * self.ranks.count
        total = torch.tensor(sum(counts))
        self.ranks.add(total)
        return int(total)

    def _mean(self, every: Tensor, shares: list[float]) -> tuple[Tensor, Tensor]:
        """Loss and statistics of a minibatch from those of its parts, [parts, stats and loss]."""
        if shares == [1.0]:
            return every[0, -1], every[0, :-1]
        weights, ratio = every.new_tensor(shares), STATS.index("ratio_error")
        # Where nothing counts the numbers may be anything.
        means = torch.where(weights[:, None] > 0, weights[:, None] * every, 0.0).sum(0)
        largest = torch.where(weights > 0, every[:, ratio], 0.0).max()
        self.ranks.add(means)
        self.ranks.largest(largest)
        means[ratio] = largest
        return means[-1], means[:-1]

    def _count(self, start: int, stop: int) -> int:
        """How many steps of these environments count."""
        if self.valid is None:
            return (stop - start) * len(self.batch.actions)
        return int(self.valid[:, start:stop].sum())

    def loss(self, start: int, stop: int, *, counts_all: bool = False) -> tuple[Tensor, Tensor]:
        """The loss to minimise on environments start to stop, and its statistics, as STATS.

        counts_all: over every step, also those that do not count.
        """
        batch, envs, config = self.batch, slice(start, stop), self.config
        valid = None if self.valid is None or counts_all else self.valid[:, envs]
        obs, begins = batch.obs.envs(start, stop), batch.episode_start[:, envs]
        prefix = None if batch.prefix is None else batch.prefix.envs(start, stop)
        if start not in self._texts:  # read once for all epochs
            self._texts[start] = self.policy.read_rollout(obs)
        text = self._texts[start]
        if self.warmup:
            values = self.policy.evaluate_values(obs, begins, prefix, text=text)
            loss, _ = value_loss(_counted(values, valid), _counted(batch.returns[:, envs], valid))
            stats = loss.new_zeros(len(STATS))
            stats[STATS.index("value_loss")] = loss.detach()
            return loss, stats
        logits, values = self.policy.evaluate(obs, begins, prefix, text=text)
        steps = (
            steps[:, envs].flatten()
            for steps in (batch.actions, batch.log_probs, self.advantages, batch.returns)
        )
        reference = None if self.reference is None else self.reference[:, envs].flatten(0, 1)
        clipped = config.value_loss == "clipped"
        return ppo_loss(
            logits.flatten(0, 1), values.flatten(), *steps, clip_coef=config.clip_coef,
            value_loss_coef=config.value_loss_coef, entropy_coef=config.entropy_coef,
            old_values=batch.values[:, envs].flatten() if clipped else None, reference=reference,
            anchor_coef=self.anchor_coef, valid=None if valid is None else valid.flatten(),
        )  # fmt: skip


def _valid_or_none(batch: RolloutBatch, ranks: Ranks) -> Tensor | None:
    """Which steps count; None if all do, everywhere, as nearly always."""
    counts = torch.tensor([int(batch.valid.sum()), batch.valid.numel()])
    ranks.add(counts)
    if counts[0] == counts[1]:
        return None
    if not counts[0]:
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
