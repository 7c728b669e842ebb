"""Runs the benchmarks and writes their results: ``python -m benchmarks.run [--case GLOB]``.

Every module ``benchmarks/bench_<name>.py`` offers a list ``CASES``. A case sets up contenders that
do the same work; these are timed in turns, so that a noisy machine is noisy for all of them, and
are compared as ratios of one run. Results go to ``benchmarks/results/<machine>/<name>.json``; a
partial run (``--case``) replaces only its cases there. The last line of stdout is the run's JSON.
"""

import argparse
import contextlib
import fnmatch
import importlib
import importlib.metadata
import json
import os
import pkgutil
import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import benchmarks

RESULTS = Path(__file__).parent / "results"
OURS = "flare"  # every case has a contender of this name
VERSIONED = ("numpy", "torch", "gymnasium", "tianshou", "flare-rl")


@dataclass(frozen=True)
class Contenders:
    """What a case's setup gives."""

    calls: dict[str, Callable[[], object]]
    """Name to a function that does the work once; "flare" is ours."""
    absent: dict[str, str] = field(default_factory=dict)
    """Peer to the reason why it could not take part here."""
    measured: dict[str, float] = field(default_factory=dict)
    """Name and unit to what the setup measured beside time, e.g. "bytes per world"."""


@dataclass(frozen=True)
class Case:
    """One workload."""

    id: str
    """"gae/T=128/N=32": unit under test, then sizes."""
    unit: str
    """Of the rates, e.g. "elements/s"."""
    work: float
    """Units done by one call of a contender."""
    setup: Callable[[], AbstractContextManager[Contenders]]
    limit: str | None = None
    """The contender that is the machine's limit, if any."""
    config: dict[str, Any] = field(default_factory=dict)
    published: dict[str, float] = field(default_factory=dict)
    """Known rates of peers that are not run here."""


@dataclass(frozen=True)
class Settings:
    """How long to measure."""

    repeats: int = 15
    sample_s: float = 0.05
    """A sample repeats the call until this much time is over."""
    max_case_s: float = 60.0
    """After this, repeats stop (at 3 or more)."""


def time_sample(call: Callable[[], object], loops: int) -> float:
    """Seconds of one call, averaged over loops."""
    start = time.perf_counter()
    for _ in range(loops):
        call()
    return (time.perf_counter() - start) / loops


def measure(case: Case, settings: Settings) -> dict[str, Any]:
    """Runs one case; rates are work per second, each from its own sample."""
    with case.setup() as contenders:
        loops, rates = {}, {name: [] for name in contenders.calls}
        for name, call in contenders.calls.items():
            call()  # warm-up: page faults, thread starts
            loops[name] = max(1, round(settings.sample_s / max(time_sample(call, 1), 1e-7)))
        start = time.perf_counter()
        for repeat in range(settings.repeats):
            if repeat >= 3 and time.perf_counter() - start > settings.max_case_s:
                break
            for name, call in contenders.calls.items():
                rates[name].append(case.work / time_sample(call, loops[name]))
    results = {name: summarise(samples) for name, samples in rates.items()}
    ours = results[OURS]["median"]
    return {
        "id": case.id,
        "unit": case.unit,
        "config": case.config,
        "warmup_calls": 2,
        "repeats": len(rates[OURS]),
        "calls_per_sample": loops,
        "results": results,
        "ours_over": {name: ours / r["median"] for name, r in results.items() if name != OURS},
        "limit": case.limit,
        "ours_over_published": {name: ours / rate for name, rate in case.published.items()},
        "measured": contenders.measured,
        "absent": contenders.absent,
    }


def summarise(samples: list[float]) -> dict[str, float]:
    """Median and the 20th and 80th percentile."""
    if len(samples) == 1:
        return {"median": samples[0], "p20": samples[0], "p80": samples[0]}
    cuts = statistics.quantiles(samples, n=5, method="inclusive")
    return {"median": statistics.median(samples), "p20": cuts[0], "p80": cuts[3]}


def cpu_name() -> str:
    """The processor as the kernel names it."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def machine_slug(cpu: str, cores: int) -> str:
    """ "AMD EPYC 7R13 48-Core Processor" on 2 cores → "epyc-7r13-2core"."""
    words = re.sub(r"\((r|tm)\)|@.*|\d+-core", " ", cpu.lower()).split()
    kept = [w for w in words if w not in {"amd", "intel", "cpu", "processor", "with"}]
    name = re.sub(r"[^a-z0-9]+", "-", "-".join(kept[:3])).strip("-") or "cpu"
    return f"{name}-{cores}core"


def describe_machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    cores = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    cpu = cpu_name()
    return {
        "slug": machine_slug(cpu, cores),
        "cpu": cpu,
        "cores": cores,
        "memory_gb": round(memory / 1e9, 1),
        "kernel": platform.release(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def git(*arguments: str) -> str:
    """Output of a git command in this repository; empty without git."""
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=RESULTS.parent, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()


def versions() -> dict[str, str]:
    """Versions of what took part."""
    found = {"python": platform.python_version()}
    for name in VERSIONED:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def discover() -> Iterator[tuple[str, list[Case]]]:
    """(name, cases) of every bench_<name> module of this package."""
    for module in pkgutil.iter_modules(benchmarks.__path__):
        if module.name.startswith("bench_"):
            cases = importlib.import_module(f"benchmarks.{module.name}").CASES
            yield module.name.removeprefix("bench_"), cases


def write_results(folder: Path, bench: str, run: dict[str, Any]) -> Path:
    """Writes a bench's file; cases of an earlier run that this one did not measure stay."""
    path = folder / f"{bench}.json"
    cases = {case["id"]: case for case in run["cases"]}
    if path.exists():
        for case in json.loads(path.read_text())["cases"]:
            cases.setdefault(case["id"], case)
    folder.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps({**run, "cases": list(cases.values())}, indent=1) + "\n")
    temporary.replace(path)
    return path


def print_case(result: dict[str, Any]) -> None:
    """One table of a case."""
    print(f"{result['id']}  [{result['unit']}]")
    for name, rate in result["results"].items():
        ratio = "" if name == OURS else f"   ours is {result['ours_over'][name]:.2f}x"
        mark = "  (limit)" if name == result["limit"] else ""
        spread = f"{rate['p20']:.4g} .. {rate['p80']:.4g}"
        print(f"  {name:20s} {rate['median']:>12.5g}   ({spread}){ratio}{mark}")
    for name, ratio in result["ours_over_published"].items():
        print(f"  {name:20s} as published: ours is {ratio:.0f}x")
    for name, value in result["measured"].items():
        print(f"  {name:20s} {value:>12.5g}")
    for name, reason in result["absent"].items():
        print(f"  {name:20s} peer absent: {reason}")
    sys.stdout.flush()


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument("--case", default="*", help="glob over case ids, e.g. 'gae/*'")
    parser.add_argument("--list", action="store_true", help="print the case ids and stop")
    parser.add_argument("--repeats", type=int, default=Settings.repeats)
    parser.add_argument("--sample-s", type=float, default=Settings.sample_s)
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    return parser.parse_args()


def main() -> int:
    """Runs what the command line chose."""
    arguments = parse_arguments()
    settings = Settings(repeats=arguments.repeats, sample_s=arguments.sample_s)
    machine = describe_machine()
    head = {
        "machine": machine,
        "commit": git("rev-parse", "HEAD"),
        "is_dirty": bool(git("status", "--porcelain", "--", ":/csrc", ":/flare", ":/kernels")),
        "versions": versions(),
    }
    measured: list[dict[str, Any]] = []
    for bench, cases in discover():
        chosen = [case for case in cases if fnmatch.fnmatch(case.id, arguments.case)]
        if arguments.list:
            print(*(case.id for case in chosen), sep="\n")
            continue
        results = []
        for case in chosen:
            results.append(measure(case, settings))
            print_case(results[-1])
        if results:
            run = {"bench": bench, **head, "cases": results}
            print(f"written: {write_results(arguments.out / machine['slug'], bench, run)}")
            measured.append(run)
    if not arguments.list:
        if not measured:
            print(f"no case matches {arguments.case!r}; see --list", file=sys.stderr)
            return 2
        print(json.dumps({"runs": measured}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
