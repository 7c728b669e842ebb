"""How well the experts do: ``python -m benchmarks.experts [--houses FILE…] [--episodes N]``.

Plays each task's expert in generated houses and in those of the given files and prints success with
Wilson intervals, lengths and the causes of failures. Results go to
``benchmarks/results/experts.json``; nothing in them depends on the machine.
"""

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from flare.assembly import TaskConfig, WorldConfig, load_house_file, make_sampler, make_worlds
from flare.atomic import write_json
from flare.errors import UserError
from flare.evaluation.statistics import wilson_interval
from flare.houses.generator import GeneratorConfig, generate_house
from flare.rollout.player import ExpertActor, PlayedEpisode, play_episodes
from flare.worlds.embedded import House, load_houses

TASKS = ("ObjectNav", "PickUp", "Fetch", "RoomVisit", "RoomNav")
RESULTS = Path(__file__).parent / "results" / "experts.json"
_SPLIT, _NUM_GENERATED, _NUM_ENVS, _SEED = "val", 200, 32, 0


def generated_houses(count: int, seed: int = _SEED) -> list[House]:
    """Houses of the generator's default settings."""
    config = GeneratorConfig()
    documents = (
        generate_house(seed=seed, split=_SPLIT, index=i, config=config) for i in range(count)
    )
    items = [(f"generated house {i}", json.dumps(doc)) for i, doc in enumerate(documents)]
    return load_houses(items, num_threads=os.cpu_count() or 1)


def play(houses: list[House], task: str, count: int, seed: int = _SEED) -> list[PlayedEpisode]:
    """``count`` episodes of one task with the limits of evaluation, actions by the expert."""
    config = TaskConfig(names=(task,))
    mixture = config.build(is_evaluation=True)
    world = WorldConfig(num_envs=min(_NUM_ENVS, count)).for_tasks(mixture)
    worlds = make_worlds(houses, world)
    sampler = make_sampler(houses, config, seed, mixture=mixture)
    episodes = sampler.sample(np.arange(count), np.zeros(count, np.int64))
    actor = ExpertActor(worlds)
    return play_episodes(worlds, mixture, episodes, actor, num_actions=len(worlds.action_names))


def cause_of(episode: PlayedEpisode) -> str:
    """Why an episode failed."""
    if episode.task in ("PickUp", "Fetch"):
        return "no posture found" if episode.end == "done" else "out of steps"
    if episode.task in ("RoomVisit", "RoomNav"):
        return "no way" if episode.end == "done" else "out of steps"
    if episode.end == "done":
        return "wrong done"
    return "never in the image" if episode.first_seen is None else "in the image, never near enough"


def summary_of(episodes: Sequence[PlayedEpisode]) -> dict[str, Any]:
    """Success, lengths and causes as a JSON object."""
    successes = sum(episode.success for episode in episodes)
    lengths = np.array([episode.length for episode in episodes if episode.success])
    median, p90 = np.quantile(lengths, [0.5, 0.9]).tolist() if len(lengths) else (None, None)
    return {
        "episodes": len(episodes),
        "successes": successes,
        "success": wilson_interval(successes, len(episodes)).to_json(),
        "length": {"median": median, "p90": p90},
        "failures": dict(Counter(cause_of(e) for e in episodes if not e.success)),
    }


def run(house_sets: dict[str, list[House]], count: int) -> dict[str, Any]:
    """Every task on every set of houses."""
    return {
        name: {"houses": len(houses)}
        | {task: summary_of(play(houses, task, count)) for task in TASKS}
        for name, houses in house_sets.items()
    }


def table_of(results: dict[str, Any]) -> Table:
    """The results for people."""
    table = Table("houses", "task", "success", "length (median, 90 %)", "failures")
    for name, result in results.items():
        for task in TASKS:
            item = result[task]
            rate, length = item["success"], item["length"]
            causes = ", ".join(f"{cause} {n}" for cause, n in item["failures"].items())
            interval = f"[{rate['low']:.1%}, {rate['high']:.1%}]"
            lengths = (
                "–" if length["median"] is None else "{median:.0f}, {p90:.0f}".format(**length)
            )
            table.add_row(name, task, f"{rate['estimate']:.1%} {interval}", lengths, causes)
    return table


def main(arguments: Sequence[str]) -> int:
    """Run the command; bad input gives one line and exit code 2."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.experts")
    parser.add_argument(
        "--houses", type=Path, nargs="*", default=[], help="real houses, one a line"
    )
    parser.add_argument("--episodes", type=int, default=300, help="of each task and set of houses")
    options = parser.parse_args(arguments)
    try:
        house_sets = {"generated": generated_houses(_NUM_GENERATED)}
        for path in options.houses:
            house_sets[path.name] = load_house_file(path, num_threads=os.cpu_count() or 1)
        results = run(house_sets, options.episodes)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    Console().print(table_of(results))
    write_json(RESULTS, {"seed": _SEED, **results})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
