"""Fine-tuning in AI2-THOR beside the embedded world: ``python -m benchmarks.thor_curves RUN…``.

Reads runs of ``flare finetune`` that differ in their worlds and seeds only and writes their curves
of success, and for how many iterations each equals the embedded run of its seed in every logged
number, to ``benchmarks/results/thor_curves.json``.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flare.atomic import write_json
from flare.config import load_config
from flare.errors import UserError
from flare.metrics import read_records
from flare.recipes.finetune_config import FinetuneConfig

RESULTS = Path(__file__).parent / "results" / "thor_curves.json"
_POINTS = 25  # of a curve
_OF_THE_WORLD = ("time", "worlds")  # records that may differ between equal runs


def world_of(config: FinetuneConfig) -> str:
    """ "embedded", or what stood in Unity's place, without its folder."""
    if config.world.kind == "embedded":
        return "embedded"
    program, *arguments = config.world.thor.executable.split()
    return " ".join([Path(program).name, *arguments])


def same_but_for_worlds(first: FinetuneConfig, second: FinetuneConfig) -> bool:
    """Whether two runs had the same work to do."""
    names = ("seed", "total_steps", "task", "collector", "ppo")
    same = all(getattr(first, name) == getattr(second, name) for name in names)
    return same and first.world.num_envs == second.world.num_envs


def records_of(run: Path) -> list[dict[str, Any]]:
    """What each iteration logged of learning."""
    return [
        {name: value for name, value in record.items() if name not in _OF_THE_WORLD}
        for record in read_records(run / "metrics.jsonl")
    ]


def equal_iterations(first: list[dict[str, Any]], second: list[dict[str, Any]]) -> int:
    """From the first one on."""
    for count, pair in enumerate(zip(first, second, strict=False)):
        if pair[0] != pair[1]:
            return count
    return min(len(first), len(second))


def curves_of(runs: Sequence[Path]) -> list[dict[str, Any]]:
    """One entry a run."""
    configs = [load_config(run / "config.json", FinetuneConfig) for run in runs]
    records = [records_of(run) for run in runs]
    out = []
    for config, lines in zip(configs, records, strict=True):
        every = max(1, len(lines) // _POINTS)
        points = lines[::-1][::every][::-1]  # the last one among them
        entry = {
            "world": world_of(config),
            "seed": config.seed,
            "envs": config.world.num_envs,
            "planned_steps": config.total_steps,
            "iterations": len(lines),
            "curve": [[line["step"], line["success_rate"]] for line in points],
        }
        for other, reference in zip(configs, records, strict=True):
            is_embedded = other.world.kind == "embedded" and config.world.kind == "thor"
            if is_embedded and same_but_for_worlds(config, other):
                entry["iterations_equal_to_embedded"] = equal_iterations(lines, reference)
        out.append(entry)
    return out


def main(arguments: Sequence[str]) -> int:
    """Run the command; bad input gives one line and exit code 2."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.thor_curves")
    parser.add_argument("runs", type=Path, nargs="+", help="run folders")
    options = parser.parse_args(arguments)
    try:
        curves = curves_of(options.runs)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    write_json(RESULTS, {"runs": curves})
    for entry in curves:
        first, last = entry["curve"][0], entry["curve"][-1]
        equal = entry.get("iterations_equal_to_embedded")
        note = "" if equal is None else f"; {equal} of {entry['iterations']} iterations equal"
        print(f"{entry['world']}, seed {entry['seed']}: {first} to {last}{note}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
