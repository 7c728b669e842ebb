"""``flare houses generate|show|check|stats``: the commands around house files."""

import json
import os
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console as RichConsole
from tyro.conf import Positional

from flare.console import Console
from flare.errors import UserError
from flare.houses.check import HouseCheck, check_house
from flare.houses.files import read_houses
from flare.houses.generator import GeneratorConfig, generate_houses
from flare.houses.plan import draw_plan
from flare.houses.schema import SCHEMA
from flare.houses.statistics import HouseStatistics, file_statistics
from flare.houses.statistics_table import statistics_table
from flare.rng import check_seed
from flare.signals import StopFlag

_MOST_SHOWN = 8  # types in a line of the check's summary


@dataclass(frozen=True, kw_only=True, slots=True)
class GenerateConfig:
    """Configuration of ``flare houses generate``: how many houses of which kind go where."""

    out: Path = Path("houses")  # folder of train.jsonl.gz, val.jsonl.gz and test.jsonl.gz
    train: int = 1000  # houses; 0 writes no file of this split
    val: int = 100  # houses
    test: int = 100  # houses
    seed: int = 0  # the same seed gives the same bytes; splits never share a house
    num_workers: int = 0  # processes; 0: one per core
    generator: GeneratorConfig = field(default_factory=GeneratorConfig)

    def __post_init__(self) -> None:
        """Refuse negative counts and an empty order. Raises UserError."""
        for name in ("train", "val", "test", "num_workers"):
            if getattr(self, name) < 0:
                raise UserError(f"is {getattr(self, name)}", key=name, mend="give 0 or more")
        check_seed(self.seed)
        if self.train + self.val + self.test == 0:
            raise UserError("no house is asked for", key="train", mend="give --train 100")


@dataclass(frozen=True, kw_only=True, slots=True)
class ShowConfig:
    """Configuration of ``flare houses show``: which house goes into which picture."""

    houses: Positional[Path]  # house file
    index: int = 0  # which house of the file, from 0
    out: Path | None = None  # PNG; None: <name of the file>-<index>.png in this folder

    def __post_init__(self) -> None:
        """Refuse a negative index. Raises UserError."""
        if self.index < 0:
            raise UserError(f"is {self.index}", key="index", mend="give 0 or more")


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckConfig:
    """Configuration of ``flare houses check``: which houses are looked at, and how much is said."""

    houses: Positional[Path]  # house file
    limit: int | None = None  # look at no more than this many houses
    assets: Path | None = None  # pack of `flare assets build`; None: proxies for Objaverse objects
    verbose: bool = False  # a line for each house, not only for those that fail

    def __post_init__(self) -> None:
        """Refuse a limit without houses. Raises UserError."""
        if self.limit is not None and self.limit < 1:
            raise UserError(f"is {self.limit}", key="limit", mend="give 1 or more")


@dataclass(frozen=True, kw_only=True, slots=True)
class StatsConfig:
    """Configuration of ``flare houses stats``: which files are counted, and how it is said."""

    houses: Positional[tuple[Path, ...]]  # house files; the others are compared with the first
    limit: int | None = None  # count no more than this many houses of each file
    json: bool = False  # print JSON instead of a table

    def __post_init__(self) -> None:
        """Refuse a limit without houses. Raises UserError."""
        if not self.houses:
            raise UserError("no file is given", key="houses", mend="name a house file")
        if self.limit is not None and self.limit < 1:
            raise UserError(f"is {self.limit}", key="limit", mend="give 1 or more")


def run_generate(config: GenerateConfig) -> int:
    """Write the house files of each split that is asked for."""
    with Console("houses generate") as console, StopFlag() as stop:
        for split, count in (("train", config.train), ("val", config.val), ("test", config.test)):
            if count > 0 and not _generate_split(config, split, count, console, stop):
                console.message(f"stopped by {stop.reason}; files that were finished stay")
                return 130
    return 0


def _generate_split(
    config: GenerateConfig, split: str, count: int, console: Console, stop: StopFlag
) -> bool:
    """Write one file; False when someone asked to stop before its end."""
    path = config.out / f"{split}.jsonl.gz"
    with console.stage(split, total=count, unit="houses") as stage:
        is_written = generate_houses(
            path,
            count=count,
            split=split,
            seed=config.seed,
            config=config.generator,
            num_workers=config.num_workers or len(os.sched_getaffinity(0)),
            progress=lambda done: stage.update(completed=done),
            should_stop=lambda: stop.requested,
        )
    if is_written:
        console.message(f"wrote {path}")
    return is_written


def run_show(config: ShowConfig) -> int:
    """Draw one house's plan as PNG and say where it is."""
    houses = read_houses(config.houses, limit=config.index + 1)
    if config.index >= len(houses):
        raise UserError(
            f"there is no house {config.index}: the file holds {len(houses)}",
            file=config.houses,
            key="index",
            mend=f"give an index up to {len(houses) - 1}",
        )
    source, text = houses[config.index]
    # Here and not above: reading and drawing house files works without the compiled core.
    from flare.worlds.embedded import load_house

    load_house(text, source)  # refuses what is no house; drawing trusts it
    out = config.out or Path(f"{config.houses.name.split('.')[0]}-{config.index}.png")
    draw_plan(text, out, title=source)
    print(f"wrote {out}")
    return 0


def run_check(config: CheckConfig) -> int:
    """Say of each house that would not play why, then how many play; 1 if any does not."""
    houses = read_houses(config.houses, config.limit)
    checks: list[HouseCheck] = []
    with (
        Console("houses check") as console,
        console.stage("check", total=len(houses), unit="houses") as stage,
    ):
        for source, text in houses:
            checks.append(check_house(source, text, config.assets))
            stage.update(advance=1)
    for check in checks:
        if config.verbose or not check.ok:
            print(f"{'ok     ' if check.ok else 'REFUSED'}  {check}")
        if check.schema_faults:
            more = len(check.schema_faults) - 1
            rest = f" (and {more} more)" if more else ""
            print(f"SCHEMA   {check.source}: {check.schema_faults[0]}{rest}")
    for title, field_name in (
        ("types drawn as plain bodies", "unknown_types"),
        ("sizes guessed from the type", "guessed_sizes"),
    ):
        print(_tally(title, [getattr(check, field_name) for check in checks]))
    loaded = [check for check in checks if check.room_types]
    sound = sum(not check.schema_faults for check in loaded)
    print(f"{sound} of {len(loaded)} keep to schema {SCHEMA} as AI2-THOR reads it")
    refused = sum(not check.ok for check in checks)
    print(f"{len(checks) - refused} of {len(checks)} houses of {config.houses} can be played")
    return int(refused > 0)


def run_stats(config: StatsConfig) -> int:
    """Print what the houses of each file are like, side by side."""
    found: dict[str, HouseStatistics] = {}
    totals = [len(read_houses(path, config.limit)) for path in config.houses]
    with Console("houses stats", file=sys.stderr) as console:
        for path, total in zip(config.houses, totals, strict=True):
            with console.stage(path.name, total=total, unit="houses") as stage:
                found[os.fspath(path)] = file_statistics(
                    path, config.limit, lambda: stage.update(advance=1)
                )
    if config.json:
        print(json.dumps({name: one.as_json() for name, one in found.items()}, indent=1))
    else:
        RichConsole(width=max(80, 34 + 28 * len(found))).print(statistics_table(found))
    return 0


def _tally(title: str, counts: list[tuple[tuple[str, int], ...]]) -> str:
    """Sum over houses as one line, the most frequent types first."""
    total: Counter[str] = Counter()
    for pairs in counts:
        total.update(dict(pairs))
    shown = ", ".join(f"{name} {count}" for name, count in total.most_common(_MOST_SHOWN))
    more = len(total) - _MOST_SHOWN
    return f"{title}: {shown or 'none'}" + (f" and {more} more" if more > 0 else "")
