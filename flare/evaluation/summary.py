"""From one line an episode to the numbers that are reported, every episode accounted for."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

from flare.atomic import PathLike, write_json
from flare.config import parse_json_object, read_json_object
from flare.errors import UserError
from flare.evaluation.failures import count_failures
from flare.evaluation.statistics import (
    compare_paired,
    mean_interval,
    success_weighted_by_episode_length,
    success_weighted_by_path_length,
    wilson_interval,
)

Record = Mapping[str, Any]
Summary = dict[str, Any]

FORMAT = "flare-summary"
COMPARISON_FORMAT = "flare-comparison"
VERSION = 1
ENDS = ("done", "limit", "fault")
DISTANCE_EDGES = (2.0, 4.0, 6.0, 9.0)  # m of shortest path; bins [0, 2), [2, 4), …, [9, ∞)

_FIELDS: dict[str, type | tuple[type, ...]] = {
    "split": str, "stage": str, "episode": int, "house": int, "room_count": int,
    "target_type": str, "success": bool, "length": int, "expert_length": int,
    "shortest_path": (int, float), "travelled": (int, float), "return": (int, float),
    "end": str, "collisions": int,
}  # fmt: skip
_SAME_EPISODE = ("house", "target_type", "instruction", "start")  # what pairs must share


def read_episode_records(path: PathLike) -> list[dict[str, Any]]:
    """Read an evaluation file, one JSON object an episode, sorted by episode.

    Raises:
        UserError: no such file, a line that is no episode (which is named), or an episode twice.
    """
    try:
        lines = Path(path).read_bytes().splitlines()
    except OSError as error:
        raise UserError(
            f"cannot read ({error.strerror})", mend="run the evaluation first", file=path
        ) from error
    records = [_record(line, path, number) for number, line in enumerate(lines, start=1)]
    records.sort(key=lambda record: int(record["episode"]))
    return records


def summarise(records: Sequence[Record], *, expected: int | None = None) -> Summary:
    """Condense the records of one evaluation.

    Args:
        records: one an episode, of one stage and split, in any order.
        expected: how many episodes were frozen, numbered from 0; those without a record are listed
            under ``missing`` and count as failures of the success rate. None: all there are.

    Returns: a JSON object: ``stage``, ``split``, ``count``, ``missing``, the fields of a group over
        all episodes, and ``by_task``, ``by_house``, ``by_target_type``, ``by_room_count`` and
        ``by_distance``, each a list of groups with their ``key`` (``low`` and ``high`` in metres
        for the last). The groups of ``by_task`` have ``metrics`` too, the means of what the task
        measures.
        A group: ``episodes``, ``success`` (k, n, rate, low, high), ``sel``, ``spl``, ``length``,
        ``length_success``, ``length_failure``, ``return`` (estimate, low, high, n; null without
        episodes), ``ends``, ``wrong_done``, ``collisions`` (total, per_episode, per_100_steps) and
        ``failures``, as count_failures gives them.
    Raises: UserError for no records, a mixture of stages, or one episode twice.
    """
    stage, split = _one_of_each(records)
    found = {int(record["episode"]) for record in records}
    if len(found) != len(records):
        raise UserError("an episode has two records", mend="evaluate again", key="episode")
    missing = sorted(set(range(expected)) - found) if expected is not None else []
    ordered = sorted(records, key=lambda record: int(record["episode"]))
    return {
        "format": FORMAT,
        "version": VERSION,
        "stage": stage,
        "split": split,
        "count": len(records) + len(missing),
        "missing": missing,
        **_group(ordered, failures_without_record=len(missing)),
        "by_task": _groups_by_task(ordered),
        "by_house": _groups(ordered, lambda record: int(record["house"])),
        "by_target_type": _groups(ordered, lambda record: str(record["target_type"])),
        "by_room_count": _groups(ordered, lambda record: int(record["room_count"])),
        "by_distance": _groups_by_distance(ordered),
    }


def compare(before: Sequence[Record], after: Sequence[Record]) -> Summary:
    """Compare two evaluations of the same episodes, pair by pair.

    Returns: a JSON object: ``before`` and ``after`` (stages), ``n``, ``both``, ``only_before``,
        ``only_after``, ``neither``, ``difference`` (estimate, low, high), ``p_value``, ``test`` and
        the episodes ``gained`` and ``lost``.
    Raises: UserError when the episodes are not the same.
    """
    old, new = _by_episode(before), _by_episode(after)
    if old.keys() != new.keys():
        odd = len(old.keys() ^ new.keys())
        raise UserError(
            f"{odd} episodes are in one evaluation only", mend="evaluate both on one episode file"
        )
    for key, record in old.items():
        for field in _SAME_EPISODE:
            if record.get(field) != new[key].get(field):
                raise UserError(
                    f"episode {key[1]} has another {field} in the second evaluation",
                    mend="evaluate both on one episode file",
                )
    keys = sorted(old)
    result = compare_paired([old[k]["success"] for k in keys], [new[k]["success"] for k in keys])
    return {
        "format": COMPARISON_FORMAT,
        "version": VERSION,
        "before": _one_of_each(before)[0],
        "after": _one_of_each(after)[0],
        "n": result.count,
        "both": result.both,
        "only_before": result.only_before,
        "only_after": result.only_after,
        "neither": result.neither,
        "difference": result.difference.to_json(),
        "p_value": result.p_value,
        "test": "exact McNemar, two-sided",
        "gained": [k[1] for k in keys if new[k]["success"] and not old[k]["success"]],
        "lost": [k[1] for k in keys if old[k]["success"] and not new[k]["success"]],
    }


def summary_line(summary: Mapping[str, Any]) -> str:
    """Say a summary in one line, for the console."""
    success = summary["success"]
    low, high = 100 * success["low"], 100 * success["high"]
    parts = [
        f"{summary['stage']}: {100 * success['rate']:.1f} % success [{low:.1f}, {high:.1f}] "
        f"of {success['n']} episodes"
    ]
    for name in ("sel", "spl"):
        if summary[name] is not None:
            parts.append(f"{name.upper()} {100 * summary[name]['estimate']:.1f} %")
    if summary["missing"]:
        parts.append(f"{len(summary['missing'])} episodes lost")
    return ", ".join(parts)


def write_summary(run_dir: PathLike, stage: str, *, expected: int | None = None) -> Summary:
    """Read ``eval/<stage>.jsonl`` of a run, write ``eval/<stage>.summary.json``, return it."""
    folder = Path(run_dir) / "eval"
    summary = summarise(read_episode_records(folder / f"{stage}.jsonl"), expected=expected)
    write_json(folder / f"{stage}.summary.json", summary)
    return summary


def read_summary(path: PathLike) -> Summary:
    """Read what write_summary wrote; UserError for anything else."""
    summary = read_json_object(path)
    if (summary.get("format"), summary.get("version")) != (FORMAT, VERSION):
        raise UserError("no summary of an evaluation", mend="evaluate again", file=path)
    return summary


def write_comparison(run_dir: PathLike, before: str = "before", after: str = "after") -> Summary:
    """Compare two evaluations of a run, write ``eval/comparison.json``, return it."""
    folder = Path(run_dir) / "eval"
    records = [read_episode_records(folder / f"{stage}.jsonl") for stage in (before, after)]
    comparison = compare(*records)
    write_json(folder / "comparison.json", comparison)
    return comparison


def _group(records: Sequence[Record], *, failures_without_record: int = 0) -> Summary:
    won = [record for record in records if record["success"]]
    lost = [record for record in records if not record["success"]]
    return {
        "episodes": len(records) + failures_without_record,
        "success": _success(len(won), len(records) + failures_without_record),
        "sel": _mean([_sel(record) for record in records]),
        "spl": _mean([_spl(record) for record in records]),
        "length": _mean([record["length"] for record in records]),
        "length_success": _mean([record["length"] for record in won]),
        "length_failure": _mean([record["length"] for record in lost]),
        "return": _mean([record["return"] for record in records]),
        "ends": {end: sum(record["end"] == end for record in records) for end in ENDS},
        "wrong_done": sum(record["end"] == "done" for record in lost),
        "collisions": _collisions(records),
        "failures": count_failures(records),
    }


def _groups(records: Sequence[Record], key_of: Callable[[Record], Hashable]) -> list[Summary]:
    members: dict[Any, list[Record]] = {}
    for record in records:
        members.setdefault(key_of(record), []).append(record)
    return [{"key": key, **_group(members[key])} for key in sorted(members)]


def _groups_by_task(records: Sequence[Record]) -> list[Summary]:
    """One group a task, with the means of its own metrics over the episodes that define them."""
    groups = _groups(records, task_of)
    for group in groups:
        found = [r.get("metrics", {}) for r in records if task_of(r) == group["key"]]
        names = sorted({name for metrics in found for name in metrics})
        group["metrics"] = {name: _mean([m.get(name) for m in found]) for name in names}
    return groups


def task_of(record: Record) -> str:
    """The task's name."""
    return str(record.get("task", "ObjectNav"))  # records of earlier versions knew one task


def _groups_by_distance(records: Sequence[Record]) -> list[Summary]:
    """Bins of the shortest path; episodes without one come last, with both ends null."""
    edges = (0.0, *DISTANCE_EDGES)
    members: dict[int, list[Record]] = {}
    for record in records:
        path = record["shortest_path"]
        bin_index = sum(path >= edge for edge in edges) - 1 if path >= 0 else len(edges)
        members.setdefault(bin_index, []).append(record)
    groups = []
    for i in sorted(members):
        low = edges[i] if i < len(edges) else None
        high = edges[i + 1] if i + 1 < len(edges) else None
        groups.append({"low": low, "high": high, **_group(members[i])})
    return groups


def _success(k: int, n: int) -> Summary:
    interval = wilson_interval(k, n)
    return {"k": k, "n": n, "rate": k / n, "low": interval.low, "high": interval.high}


def _mean(values: Sequence[float | None]) -> Summary | None:
    """Mean of the defined values; ``undefined`` counts the others."""
    defined = [float(value) for value in values if value is not None]
    if not defined:
        return None
    undefined = len(values) - len(defined)
    return {**mean_interval(defined).to_json(), "n": len(defined), "undefined": undefined}


def _sel(record: Record) -> float | None:
    return success_weighted_by_episode_length(
        record["success"], record["expert_length"], record["length"]
    )


def _spl(record: Record) -> float | None:
    return success_weighted_by_path_length(
        record["success"], record["shortest_path"], record["travelled"]
    )


def _collisions(records: Sequence[Record]) -> Summary:
    total = sum(record["collisions"] for record in records)
    steps = sum(record["length"] for record in records)
    return {
        "total": total,
        "per_episode": total / len(records) if records else None,
        "per_100_steps": 100 * total / steps if steps else None,
    }


def _by_episode(records: Sequence[Record]) -> dict[tuple[str, int], Record]:
    return {(str(record["split"]), int(record["episode"])): record for record in records}


def _one_of_each(records: Sequence[Record]) -> tuple[str, str]:
    kinds = {(str(record["stage"]), str(record["split"])) for record in records}
    if len(kinds) != 1:
        what = "no episodes" if not kinds else f"a mixture of {sorted(kinds)}"
        raise UserError(f"an evaluation of {what}", mend="evaluate one stage on one split")
    return kinds.pop()


def _record(line: bytes, path: PathLike, number: int) -> dict[str, Any]:
    place = f"line {number}"
    record = parse_json_object(line, mend="evaluate again", file=path, key=place)
    for name, kind in _FIELDS.items():
        if name not in record or not isinstance(record[name], kind):
            raise UserError(
                f"{name} is {record.get(name)!r}", mend="evaluate again", file=path, key=place
            )
    if record["end"] not in ENDS:
        raise UserError(
            f"end is {record['end']!r}, not one of {', '.join(ENDS)}",
            mend="evaluate again", file=path, key=place,
        )  # fmt: skip
    return record
