"""``flare compare``: two policies on the same episodes, one or several seeds each."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flare.atomic import write_json
from flare.errors import UserError
from flare.evaluation.statistics import interquartile_mean_of_seeds
from flare.evaluation.summary import (
    Record,
    Summary,
    compare,
    read_episode_records,
    summarise,
    summary_line,
    task_of,
)
from flare.run_folder import check_name

SEEDS_FORMAT = "flare-comparison-of-seeds"
VERSION = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class CompareConfig:
    """Configuration of ``flare compare``."""

    # Evaluations: run folders, or files eval/<name>.jsonl. Two, before and after; or with --to the
    # seeds of before.
    evaluations: tuple[Path, ...]
    to: tuple[Path, ...] = ()  # the seeds of after, in the same order
    name: str = "eval"  # of the evaluation in a run folder
    json: bool = False  # print the whole result as JSON
    out: Path | None = None  # file for the same

    def __post_init__(self) -> None:
        check_name(self.name)

    def pairs(self) -> list[tuple[Path, Path]]:
        """Files of before and after, a pair a seed.

        Raises:
            UserError: not two evaluations, or not as many after as before.
        """
        before, after = self.evaluations, self.to
        if not after:
            if len(before) != 2:
                raise UserError(
                    f"{len(before)} evaluations are named",
                    key="evaluations",
                    mend="name two, or several seeds: flare compare A1 A2 A3 --to B1 B2 B3",
                )
            before, after = before[:1], before[1:]
        if len(before) != len(after):
            raise UserError(
                f"{len(after)} evaluations are to be compared with {len(before)}",
                key="to",
                mend="name as many, seed by seed",
            )
        return [(self._file(a), self._file(b)) for a, b in zip(before, after, strict=True)]

    def _file(self, path: Path) -> Path:
        return path / "eval" / f"{self.name}.jsonl" if path.is_dir() else path


def run_compare(config: CompareConfig) -> int:
    """``flare compare``."""
    pairs = config.pairs()
    records = [(read_episode_records(a), read_episode_records(b)) for a, b in pairs]
    result = compare_seeds(records)
    if config.out is not None:
        write_json(config.out, result)
    if config.json:
        print(json.dumps(result, indent=1))
        return 0
    for (before, after), (first, second), one in zip(pairs, records, result["seeds"], strict=True):
        print(f"{before}\n  {summary_line(summarise(first))}")
        print(f"{after}\n  {summary_line(summarise(second))}")
        print(f"  {describe(one)}")
        for task in one["by_task"]:
            print(f"    {task['key']}: {describe(task)}")
    if len(pairs) > 1:
        print(f"interquartile mean of {len(pairs)} seeds:")
        for name in ("before", "after"):
            low, rate, high = (100 * result[name][key] for key in ("low", "estimate", "high"))
            print(f"  {name} {rate:.1f} % [{low:.1f}, {high:.1f}]")
        print(f"  difference {_points(result['difference'])} points")
    return 0


def compare_seeds(pairs: Sequence[tuple[Sequence[Record], Sequence[Record]]]) -> Summary:
    """Compare seed by seed, and all seeds together.

    Args:
        pairs: records before and after of each seed, over the same episodes within a pair.

    Returns: a JSON object: ``seeds``, each as compare gives it, with ``by_task`` where there are
        several tasks; ``before``, ``after`` and ``difference`` (estimate, low, high): interquartile
        means over seeds.
    Raises: UserError when a pair's episodes are not the same, or their numbers differ by seed.
    """
    if len({len(before) for before, _ in pairs}) != 1:
        raise UserError("the seeds have different numbers of episodes", mend="evaluate all alike")
    seeds = []
    for before, after in pairs:
        tasks = sorted({task_of(record) for record in before})
        groups = [
            {"key": task, **compare(_of_task(before, task), _of_task(after, task))}
            for task in tasks
            if len(tasks) > 1
        ]
        seeds.append({**compare(before, after), "by_task": groups})
    wins = [[_wins(before), _wins(after)] for before, after in pairs]
    before_wins, after_wins = [one[0] for one in wins], [one[1] for one in wins]
    changes = [[b - a for a, b in zip(*one, strict=True)] for one in wins]
    return {
        "format": SEEDS_FORMAT,
        "version": VERSION,
        "seeds": seeds,
        "before": interquartile_mean_of_seeds(before_wins).to_json(),
        "after": interquartile_mean_of_seeds(after_wins).to_json(),
        "difference": interquartile_mean_of_seeds(changes).to_json(),
    }


def describe(comparison: Summary) -> str:
    """One comparison in one line."""
    return (
        f"difference {_points(comparison['difference'])} points, p = {comparison['p_value']:.2g} "
        f"({comparison['test']}; {comparison['only_after']} gained, "
        f"{comparison['only_before']} lost of {comparison['n']})"
    )


def _points(interval: dict[str, Any]) -> str:
    low, estimate, high = (100 * interval[name] for name in ("low", "estimate", "high"))
    return f"{estimate:+.1f} [{low:+.1f}, {high:+.1f}]"


def _of_task(records: Sequence[Record], task: str) -> list[Record]:
    return [record for record in records if task_of(record) == task]


def _wins(records: Sequence[Record]) -> list[int]:
    ordered = sorted(records, key=lambda record: (str(record["split"]), int(record["episode"])))
    return [int(record["success"]) for record in ordered]
