"""``flare doctor``: what this machine and installation can do, one line a check."""

import importlib
import json
import os
import platform
import resource
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Literal

from flare import __version__
from flare.findings import Finding
from flare.worlds.thor.config import ThorConfig

GIB = 2**30
MIN_SHM = 256 * 2**20  # bytes; rollouts of the demo take a tenth of it
MIN_MEMORY = 4 * GIB  # bytes; the demo's largest stage takes about half
MIN_OPEN_FILES = 1024  # a worker takes a handful here
MIN_DISK = 2 * GIB  # bytes; a run with its checkpoints and videos takes a tenth


@dataclass(frozen=True, kw_only=True)
class DoctorConfig:
    """What to look at."""

    folder: Path = Path()
    """Where runs would be written."""
    world: Literal["embedded", "thor"] = "embedded"
    """thor: also everything that AI2-THOR needs, with a start in one house."""
    thor: ThorConfig = field(default_factory=lambda: ThorConfig(start_timeout=60, reset_timeout=60))
    """What would be started, and how long that may take."""
    json: bool = False
    """Print JSON instead: a list of the findings."""


def run_doctor(config: DoctorConfig) -> int:
    """Print all findings; 0, or 1 when one of them keeps flare from working."""
    findings = list(examine(config))
    problems = sum(finding.verdict == "problem" for finding in findings)
    if config.json:
        print(json.dumps([asdict(finding) for finding in findings], indent=1))
        return int(problems > 0)
    for finding in findings:
        print(finding.line())
    print(f"{problems} problem{'s' * (problems != 1)}" if problems else "all well")
    return int(problems > 0)


def examine(config: DoctorConfig) -> Iterator[Finding]:
    """Look at everything; each check stands alone, so one failure hides no other."""
    checks: tuple[Callable[[], Finding], ...] = (
        _python,
        lambda: Finding("flare", "ok", f"{__version__}, {Path(__file__).parent}"),
        _core,
        _torch,
        _gpu,
        _triton,
        _tensorboard,
        _cores,
        _memory,
        _shared_memory,
        lambda: _disk(config.folder),
        _open_files,
        _ai2thor,
    )
    for check in checks:
        yield check()
    if config.world == "thor":
        from flare.doctor_thor import examine_thor  # loads the core, which may be what is broken

        yield from examine_thor(config.thor)


def _python() -> Finding:
    return Finding("python", "ok", f"{platform.python_version()}, {sys.executable}")


def _core() -> Finding:
    try:
        importlib.import_module("flare.rollout.gae")  # loads the compiled core
    except ImportError as error:
        return Finding(
            "core", "problem", f"does not load ({error})", "run pip install . in the checkout"
        )
    return Finding("core", "ok", "the compiled module loads")


def _torch() -> Finding:
    try:
        import torch
    except (ImportError, OSError) as error:
        return Finding("torch", "problem", f"does not load ({error})", "pip install torch")
    return Finding("torch", "ok", f"{torch.__version__}, {torch.get_num_threads()} threads")


def _gpu() -> Finding:
    if _version("torch") is None:
        return Finding("gpu", "note", "unknown without torch")
    import torch

    if not torch.cuda.is_available():
        return Finding("gpu", "ok", "none; training runs on the processor")
    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return Finding("gpu", "ok", ", ".join(names))


def _optional(package: str, absent: str, mend: str) -> Finding:
    version = _version(package)
    if version is None:
        return Finding(package, "note", f"absent; {absent}", mend)
    return Finding(package, "ok", version)


def _triton() -> Finding:
    return _optional(
        "triton",
        "kernels run as their PyTorch references",
        "pip install 'flare-rl[gpu]' on a machine with a GPU",
    )


def _tensorboard() -> Finding:
    return _optional(
        "tensorboard",
        "runs get metrics.jsonl and a report, but no events",
        "pip install 'flare-rl[tensorboard]'",
    )


def _cores() -> Finding:
    usable = len(os.sched_getaffinity(0))
    return Finding("cores", "ok", f"{usable} usable of {os.cpu_count()}")


def _memory() -> Finding:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    found = f"{total / GIB:.1f} GiB"
    if total < MIN_MEMORY:
        return Finding("memory", "note", found, "use fewer environments, --num-envs")
    return Finding("memory", "ok", found)


def _shared_memory() -> Finding:
    place = Path("/dev/shm")
    if not place.is_dir():
        return Finding("shared memory", "note", "no /dev/shm; anonymous memory is used instead")
    usage = shutil.disk_usage(place)
    found = f"/dev/shm {usage.free / GIB:.2f} GiB free of {usage.total / GIB:.2f} GiB"
    if usage.free < MIN_SHM:
        return Finding(
            "shared memory", "note", found, "give a container more, --shm-size=2g, for workers"
        )
    return Finding("shared memory", "ok", found)


def _disk(folder: Path) -> Finding:
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    found = f"{free / GIB:.1f} GiB free at {place}"
    if free < MIN_DISK:
        return Finding("disk", "problem", found, "free space or choose another folder for runs")
    return Finding("disk", "ok", found)


def _open_files() -> Finding:
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    found = f"{limit} at a time"
    if limit < MIN_OPEN_FILES:
        return Finding("open files", "note", found, f"ulimit -n {MIN_OPEN_FILES}, for many workers")
    return Finding("open files", "ok", found)


def _ai2thor() -> Finding:
    return _optional(
        "ai2thor",
        "the embedded world needs it not",
        "pip install 'flare-rl[thor]' for Unity worlds",
    )


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
