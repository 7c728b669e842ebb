"""Why a fine-tuning does not learn, or does: what stands out in the last fifth of its log.

Each rule looks at one number of PPO that has a range in which learning goes well, says where it
stands and what is usually done. A rule that has nothing to say is silent.
"""

import math
from collections.abc import Callable, Sequence
from statistics import fmean
from typing import Any

Record = dict[str, Any]
Finding = dict[str, str]

_LAST = 0.2  # share of the log that counts as "now"
_FEWEST = 5  # iterations below which nothing is said


def diagnose(records: Sequence[Record]) -> list[Finding]:
    """What stands out, the likeliest cause first.

    Args:
        records: of stage finetune, in order.

    Returns: objects with ``title``, ``text`` (with the number), ``mend``; none for a log of fewer
        than five iterations.
    """
    if len(records) < _FEWEST:
        return []
    span = max(_FEWEST, round(len(records) * _LAST))
    log = _Log(records[:span], records[-span:])
    found = (rule(log) for rule in _RULES)
    return [finding for finding in found if finding is not None]


class _Log:
    """The first and the last part of a log."""

    def __init__(self, first: Sequence[Record], last: Sequence[Record]) -> None:
        self._first, self._last = first, last

    def now(self, name: str) -> float | None:
        """Mean over the last part; None where nothing was logged."""
        return _mean(self._last, name)

    def early(self, name: str) -> float | None:
        """Mean over the first part."""
        return _mean(self._first, name)


def _mean(records: Sequence[Record], name: str) -> float | None:
    values = [record.get(name) for record in records]
    numbers = [float(v) for v in values if isinstance(v, int | float) and math.isfinite(v)]
    return fmean(numbers) if numbers else None


def _finding(title: str, text: str, mend: str) -> Finding:
    return {"title": title, "text": text, "mend": mend}


def _skipped(log: _Log) -> Finding | None:
    share = log.now("skipped")
    if not share:
        return None
    return _finding(
        "Updates are skipped",
        f"{share:.0%} of the last updates had a loss or gradient that was not finite.",
        "Lower both learning rates; in bfloat16 try float32.",
    )


def _warmup(log: _Log) -> Finding | None:
    share = log.now("critic_warmup")
    if share is None or share < 1:
        return None
    return _finding(
        "Only the critic learns so far",
        "Every one of the last updates was critic warm-up: the policy has not moved.",
        "Wait, or lower ppo.critic_warmup_steps.",
    )


def _critic(log: _Log) -> Finding | None:
    explained = log.now("explained_variance")
    if explained is None or explained >= 0.2:
        return None
    return _finding(
        "The critic explains little",
        f"Its values explain {explained:.0%} of the returns' variance; below 20 % advantages are "
        "mostly noise.",
        "Longer critic warm-up, a higher critic learning rate, more worlds, or a critic on facts.",
    )


def _clipping(log: _Log) -> Finding | None:
    share = log.now("clip_fraction")
    if share is None or share <= 0.3:
        return None
    return _finding(
        "The policy wants larger steps than it is allowed",
        f"{share:.0%} of the steps' ratios are clipped.",
        "Lower the actor's learning rate or the number of epochs.",
    )


def _early_stop(log: _Log) -> Finding | None:
    now, first = log.now("gradient_steps"), log.early("gradient_steps")
    if now is None or not first or now >= 0.5 * first or log.now("skipped"):
        return None
    return _finding(
        "Updates end early",
        f"The target KL ends them after {now:.1f} gradient steps; they began with {first:.1f}.",
        "Lower the actor's learning rate, or raise ppo.target_kl.",
    )


def _entropy(log: _Log) -> Finding | None:
    now, first = log.now("entropy"), log.early("entropy")
    if now is None or not first or now >= 0.2 * first:
        return None
    return _finding(
        "The policy has nearly stopped exploring",
        f"Entropy fell from {first:.2f} to {now:.2f} nats.",
        "Lower the actor's learning rate, or add ppo.anchor_coef or a little ppo.entropy_coef.",
    )


def _no_signal(log: _Log) -> Finding | None:
    rate = log.now("success_rate")
    if rate is None or rate >= 0.02:
        return None
    return _finding(
        "There is hardly a success to learn from",
        f"{rate:.1%} of the last episodes succeed, and the reward is paid for success alone.",
        "Start from a better imitation, from easier episodes, or pay for progress "
        "(task.reward.shaping_weight).",
    )


def _decline(log: _Log) -> Finding | None:
    now, first = log.now("success_rate"), log.early("success_rate")
    if now is None or first is None or now >= 0.8 * first:
        return None
    return _finding(
        "It got worse than it began",
        f"Success fell from {first:.0%} to {now:.0%}.",
        "Lower the actor's learning rate, warm the critic up for longer, hold the policy to the "
        "imitated one (ppo.anchor_coef); `best` points at the best checkpoint.",
    )


_RULES: tuple[Callable[[_Log], Finding | None], ...] = (
    _skipped, _warmup, _decline, _no_signal, _critic, _clipping, _early_stop, _entropy,
)  # fmt: skip
