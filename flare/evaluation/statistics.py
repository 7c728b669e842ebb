"""Estimates with their uncertainty: proportions, means, paired comparisons, SEL and SPL.

All functions are deterministic: resampling draws from flare.rng, keyed by a seed.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flare.rng import keyed_integers

CONFIDENCE = 0.95  # of every interval unless said otherwise
RESAMPLES = 4_000  # of the bootstrap; the ends then wander by about 2 % of the half width
_CHUNK = 1 << 21  # numbers drawn at once, 16 MiB of int64


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """An estimate and the interval around it, in the unit of the estimate."""

    estimate: float
    low: float
    high: float

    def to_json(self) -> dict[str, float]:
        """Return the three numbers by name."""
        return {"estimate": self.estimate, "low": self.low, "high": self.high}


class Statistic(Protocol):
    """A function of samples along one axis, such as numpy.mean."""

    def __call__(self, values: NDArray[np.float64], /, *, axis: int) -> NDArray[np.float64]:
        """Reduce ``axis``."""
        ...


def wilson_interval(successes: int, total: int, *, confidence: float = CONFIDENCE) -> Interval:
    """Wilson's score interval of a proportion.

    centre = (p + z²/2n) / (1 + z²/n), half width = z/(1 + z²/n) · sqrt(p(1−p)/n + z²/4n²).

    Args:
        successes: k, 0 ≤ k ≤ n.
        total: n ≥ 1.
        confidence: coverage aimed at, in (0, 1).

    Raises: ValueError for counts that are no proportion.
    Source: Wilson 1927, J. Am. Stat. Assoc. 22.
    """
    if total < 1 or not 0 <= successes <= total:
        raise ValueError(f"{successes} of {total} is not a proportion")
    z = _z(confidence)
    p, scale = successes / total, 1.0 + z * z / total
    centre = (p + z * z / (2 * total)) / scale
    half = z / scale * math.sqrt(p * (1 - p) / total + z * z / (4 * total * total))
    # At 0 and n the exact ends are 0 and 1; rounding would leave 1e-17 there.
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == total else centre + half
    return Interval(estimate=p, low=low, high=high)


def bootstrap_interval(
    values: ArrayLike,
    *,
    statistic: Statistic = np.mean,
    seed: int = 0,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
) -> Interval:
    """Percentile bootstrap of a statistic of independent samples.

    Args:
        values: [n] numbers, n ≥ 1, finite.
        statistic: reduces the last axis of [R, n].
        seed: the same seed gives the same interval on every machine.
        resamples: number of resamples R.
        confidence: coverage aimed at, in (0, 1).

    Raises: ValueError for no samples or samples that are not finite.
    Source: Efron and Tibshirani 1993, chapter 13.
    """
    samples = _samples(values)
    n = len(samples)
    replicates = np.empty(resamples)
    rows = max(1, _CHUNK // n)
    for begin in range(0, resamples, rows):
        row = np.arange(begin, min(begin + rows, resamples))[:, None]
        picks = keyed_integers(n, seed, 0, row, np.arange(n))
        replicates[begin : begin + rows] = statistic(samples[picks], axis=-1)
    tail = (1.0 - confidence) / 2
    low, high = np.quantile(replicates, [tail, 1.0 - tail])
    estimate = statistic(samples, axis=-1)
    return Interval(estimate=float(estimate), low=float(low), high=float(high))


def mean_interval(values: ArrayLike, *, seed: int = 0, confidence: float = CONFIDENCE) -> Interval:
    """Mean of [n] samples with its bootstrap interval; see bootstrap_interval."""
    return bootstrap_interval(values, seed=seed, confidence=confidence)


def interquartile_mean(values: ArrayLike, *, axis: int = -1) -> NDArray[np.float64]:
    """Mean of the middle half of the samples, the robust average over seeds.

    Samples at the quartiles count with the fraction of them that lies inside, so that any n works:
    three seeds weigh 1 : 4 : 1.

    Args:
        values: [..., n, ...] numbers, n ≥ 1 along ``axis``.
        axis: the axis to reduce.

    Source: Agarwal et al. 2021, "Deep RL at the edge of the statistical precipice".
    """
    ordered = np.sort(np.moveaxis(np.asarray(values, np.float64), axis, -1), axis=-1)
    n = ordered.shape[-1]
    if n < 1:
        raise ValueError("no samples")
    # Sample i covers [i, i + 1] of n; its weight is the part inside [n/4, 3n/4].
    edge = np.arange(n)
    weight = np.clip(np.minimum(edge + 1, 0.75 * n) - np.maximum(edge, 0.25 * n), 0.0, 1.0)
    result: NDArray[np.float64] = ordered @ weight / (0.5 * n)
    return result


def interquartile_mean_of_seeds(
    values: ArrayLike, *, seed: int = 0, resamples: int = 2000, confidence: float = CONFIDENCE
) -> Interval:
    """Interquartile mean over seeds of each seed's mean, with a stratified bootstrap interval.

    A resample draws every seed's episodes anew, and keeps the seeds: it says what more episodes of
    these runs would show, not what further runs would.

    Args:
        values: [seeds, episodes] numbers, finite.
        seed: of the resampling; the same seed gives the same interval on every machine.
        resamples: number of resamples.
        confidence: coverage aimed at, in (0, 1).

    Raises: ValueError for no samples or samples that are not finite.
    Source: Agarwal et al. 2021, section 4.
    """
    samples = np.asarray(values, np.float64)
    if samples.ndim != 2 or not samples.size or not np.isfinite(samples).all():
        raise ValueError(f"expected finite [seeds, episodes], got {list(samples.shape)}")
    count, n = samples.shape
    means = np.empty((resamples, count))
    for row in range(resamples):
        picks = keyed_integers(n, seed, np.arange(count)[:, None], row, np.arange(n))
        means[row] = np.take_along_axis(samples, picks, 1).mean(1)
    tail = (1.0 - confidence) / 2
    low, high = np.quantile(interquartile_mean(means), [tail, 1.0 - tail])
    return Interval(
        estimate=float(interquartile_mean(samples.mean(1))), low=float(low), high=float(high)
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class PairedComparison:
    """Two policies on the same episodes, counted by who succeeded."""

    both: int
    only_before: int  # lost
    only_after: int  # gained
    neither: int
    difference: Interval  # success rate after minus before
    p_value: float  # exact McNemar, two-sided

    @property
    def count(self) -> int:
        """Number of pairs."""
        return self.both + self.only_before + self.only_after + self.neither


def compare_paired(
    before: Sequence[bool], after: Sequence[bool], *, confidence: float = CONFIDENCE
) -> PairedComparison:
    """Count the pairs, test them and put an interval around the difference.

    Args:
        before: [n] success of each episode under the first policy.
        after: [n] success of the same episodes under the second.
        confidence: of the interval.

    Raises: ValueError for no pairs or different lengths.
    """
    if len(before) != len(after) or not len(before):
        raise ValueError(f"{len(before)} and {len(after)} outcomes cannot be paired")
    pairs = [(bool(b), bool(a)) for b, a in zip(before, after, strict=True)]
    both, lost = pairs.count((True, True)), pairs.count((True, False))
    gained, neither = pairs.count((False, True)), pairs.count((False, False))
    return PairedComparison(
        both=both,
        only_before=lost,
        only_after=gained,
        neither=neither,
        difference=paired_difference(both, gained, lost, neither, confidence=confidence),
        p_value=mcnemar_exact(lost, gained),
    )


def mcnemar_exact(lost: int, gained: int) -> float:
    """Two-sided exact McNemar test of losses and gains being equally likely.

    p = min(1, 2 · Σ_{i ≤ min(b, c)} C(b + c, i) / 2^(b + c)); 1 without discordant pairs.

    Args:
        lost: b, pairs in which only the first succeeded.
        gained: c, pairs in which only the second succeeded.

    Source: McNemar 1947, Psychometrika 12; the binomial form.
    """
    if lost < 0 or gained < 0:
        raise ValueError(f"negative counts {lost}, {gained}")
    n = lost + gained
    tail = sum(math.comb(n, i) for i in range(min(lost, gained) + 1))
    return min(1.0, float(2 * tail / 2**n))


def paired_difference(
    both: int, gained: int, lost: int, neither: int, *, confidence: float = CONFIDENCE
) -> Interval:
    """Difference of two paired proportions, (gained − lost)/n, with a score interval.

    Newcombe's square-and-add interval from two Wilson intervals and their correlation φ, which is
    corrected for continuity and is 0 when a margin is empty.

    Args:
        both: pairs in which both succeeded.
        gained: pairs in which only the second did.
        lost: pairs in which only the first did.
        neither: pairs in which none did.
        confidence: coverage aimed at, in (0, 1).

    Source: Newcombe 1998, Statistics in Medicine 17, 2635, method 10.
    """
    n = both + gained + lost + neither
    after = wilson_interval(both + gained, n, confidence=confidence)
    before = wilson_interval(both + lost, n, confidence=confidence)
    phi = _phi(both, gained, lost, neither)
    down = _added(after.estimate - after.low, before.high - before.estimate, phi)
    up = _added(after.high - after.estimate, before.estimate - before.low, phi)
    difference = (gained - lost) / n
    return Interval(estimate=difference, low=difference - down, high=difference + up)


def success_weighted_by_episode_length(
    success: bool, expert_length: float, length: float
) -> float | None:
    """SEL of one episode: success · expert_length / max(expert_length, length).

    Args:
        success: whether the episode succeeded.
        expert_length: actions of the shortest-path expert; negative: unknown.
        length: actions executed.

    Returns: in [0, 1]; None where a success has no expert to be weighed against.
    Source: the original's evaluation; Eftekhar et al. 2023.
    """
    return _weighted_success(success, expert_length, length)


def success_weighted_by_path_length(
    success: bool, shortest_path: float, travelled: float
) -> float | None:
    """SPL of one episode: success · shortest_path / max(shortest_path, travelled).

    Args:
        success: whether the episode succeeded.
        shortest_path: metres from the start to success; negative: unknown.
        travelled: metres walked.

    Returns: in [0, 1]; None where a success has no shortest path.
    Source: Anderson et al. 2018, "On evaluation of embodied navigation agents".
    """
    return _weighted_success(success, shortest_path, travelled)


def required_episodes(half_width: float, *, confidence: float = CONFIDENCE) -> int:
    """Episodes after which a success rate is known to ± half_width, whatever the rate is.

    The smallest n whose Wilson interval at p = 1/2 has a half width of at most ``half_width``.
    """
    if not 0 < half_width < 0.5:
        raise ValueError(f"a half width lies between 0 and 0.5, got {half_width}")
    # At p = 1/2 the half width is z / (2 sqrt(n + z²)).
    z = _z(confidence)
    return max(1, math.ceil(round(z * z * (1 / (4 * half_width * half_width) - 1), 9)))


def _weighted_success(success: bool, optimal: float, actual: float) -> float | None:
    if not success:
        return 0.0
    if optimal < 0:
        return None
    if optimal == 0:
        return 1.0 if actual == 0 else 0.0
    return optimal / max(optimal, actual)


def _phi(both: int, gained: int, lost: int, neither: int) -> float:
    margins = (both + gained) * (lost + neither) * (both + lost) * (gained + neither)
    if margins == 0:
        return 0.0
    covariance = float(both * neither - gained * lost)
    if covariance > 0:
        covariance = max(0.0, covariance - (both + gained + lost + neither) / 2)
    return covariance / math.sqrt(margins)


def _added(one: float, other: float, phi: float) -> float:
    return math.sqrt(max(0.0, one * one - 2 * phi * one * other + other * other))


def _z(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise ValueError(f"a confidence lies between 0 and 1, got {confidence}")
    return NormalDist().inv_cdf(0.5 + confidence / 2)


def _samples(values: ArrayLike) -> NDArray[np.float64]:
    samples = np.asarray(values, np.float64)
    if samples.ndim != 1 or not samples.size or not np.isfinite(samples).all():
        raise ValueError(f"need at least one finite sample, got shape {samples.shape}")
    return samples
