"""Why an episode failed: one kind each, from what its record says.

The first that holds, in this order:

``fault``: the simulator failed, and no retry got through.
``dropped``: a target was in the hand, and is not at the end.
``grasp failed``: pickup was tried, and no target was ever in the hand.
``wrong done``: the robot said that it had done it, or reported all it wanted.
``stuck``: the clock ended it, and a quarter or more of its actions were collisions.
``never saw the target``: the clock ended it, no target was ever in the image.
``saw and passed it``: the clock ended it, and a target once was as near and visible as it takes.
``ran out of time``: what is left.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from flare.evaluation.statistics import wilson_interval

Record = Mapping[str, Any]

KINDS = (
    "fault", "dropped", "grasp failed", "wrong done", "stuck", "never saw the target",
    "saw and passed it", "ran out of time",
)  # fmt: skip
STUCK_SHARE = 0.25  # of all actions
_EXAMPLES = 5


def failure_of(record: Record) -> str | None:
    """The kind of failure, among KINDS; None for a success.

    Args:
        record: of an evaluation; what an older one lacks is taken as not having happened.
    """
    if record["success"]:
        return None
    metrics = record.get("metrics", {})
    held = record.get("first_held") is not None
    has_target = bool(record.get("targets"))
    rules = {
        "fault": record["end"] == "fault",
        "dropped": held and not metrics.get("holds_target", 0),
        "grasp failed": not held and metrics.get("pickups_tried", 0) > 0,
        "wrong done": record["end"] == "done",
        "stuck": record["collisions"] >= STUCK_SHARE * max(1, record["length"]),
        "never saw the target": has_target and record.get("first_seen") is None,
        "saw and passed it": record.get("first_visible") is not None,
        "ran out of time": True,
    }
    return next(kind for kind in KINDS if rules[kind])


def count_failures(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Kinds that occurred, in the order of KINDS.

    Returns: objects with ``kind``, ``count``, ``share`` of all episodes with its Wilson interval
        (``low``, ``high``), and up to five ``episodes``.
    """
    found: dict[str, list[int]] = {}
    for record in records:
        kind = failure_of(record)
        if kind is not None:
            found.setdefault(kind, []).append(int(record["episode"]))
    groups = []
    for kind in KINDS:
        episodes = found.get(kind, [])
        if episodes:
            interval = wilson_interval(len(episodes), len(records))
            groups.append({
                "kind": kind, "count": len(episodes), "share": interval.estimate,
                "low": interval.low, "high": interval.high, "episodes": episodes[:_EXAMPLES],
            })  # fmt: skip
    return groups
