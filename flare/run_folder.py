"""The folder of one run: where each file stands, and the manifest that says what made them."""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from flare import __version__
from flare.atomic import PathLike, make_directory, write_json
from flare.config import read_json_object, save_config
from flare.errors import UserError, user_error_types

# The packages whose versions can change a run's numbers.
PACKAGES = ("torch", "numpy", "safetensors", "h5py", "triton", "ai2thor")


@dataclass(frozen=True)
class RunFolder:
    """``runs/<name>/``: config, manifest, metrics, episodes, checkpoints, evaluations, report."""

    path: Path

    @property
    def name(self) -> str:
        """The run's name, the folder's."""
        return self.path.name

    @property
    def config(self) -> Path:
        """Resolved configuration, accepted back by the recipe."""
        return self.path / "config.json"

    @property
    def manifest(self) -> Path:
        """What made the run: commit, versions, machine, data."""
        return self.path / "manifest.json"

    @property
    def metrics(self) -> Path:
        """One JSON line an iteration."""
        return self.path / "metrics.jsonl"

    @property
    def tensorboard(self) -> Path:
        """TensorBoard events of the same records, where that package is installed."""
        return self.path / "tensorboard"

    @property
    def episodes(self) -> Path:
        """One JSON line a training episode."""
        return self.path / "episodes.jsonl"

    @property
    def checkpoints(self) -> Path:
        """One folder a checkpoint, named by its step."""
        return self.path / "checkpoints"

    @property
    def latest(self) -> Path:
        """Pointer to the newest checkpoint."""
        return self.path / "latest"

    @property
    def best(self) -> Path:
        """Pointer to the checkpoint with the best success."""
        return self.path / "best"

    @property
    def report(self) -> Path:
        """The self-contained page."""
        return self.path / "report.html"

    def evaluation(self, name: str) -> Path:
        """One JSON line an episode of the evaluation ``name``."""
        return self.path / "eval" / f"{name}.jsonl"

    @classmethod
    def create(
        cls, root: PathLike, name: str | None = None, *, prefix: str = "run", need_bytes: int = 0
    ) -> "RunFolder":
        """Make the folder of a new run.

        Args:
            root: the folder of runs, made if needed.
            name: the run's name; None makes one of ``prefix`` and the time.
            prefix: what an automatic name starts with.
            need_bytes: free disk that the run will want.

        Raises:
            UserError: a run of that name exists, the name has a slash, or the disk is too full.
        """
        base = Path(root)
        if name is not None:
            check_name(name)
        path = base / name if name is not None else _free_name(base, prefix)
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise UserError(
                "this run exists already",
                mend=f"choose another name, remove it, or go on with --resume {path}",
                file=path,
            )
        check_free_disk(base, need_bytes)
        return cls(make_directory(path))

    @classmethod
    def open(cls, path: PathLike) -> "RunFolder":
        """The folder of a run that exists.

        Raises:
            UserError: no such folder, or not a run's (it has no config.json).
        """
        folder = cls(Path(path))
        if not folder.path.is_dir():
            raise UserError("no such run", mend="give the folder of a run", file=path)
        if not folder.config.is_file():
            raise UserError(
                "not a run's folder: it has no config.json",
                mend="give the folder that a recipe made, such as runs/<name>",
                file=path,
            )
        return folder

    @contextmanager
    def removed_if_unused(self) -> Iterator[None]:
        """Begin a new run: bad input that shows before anything was recorded leaves no folder."""
        try:
            yield
        except user_error_types():
            if not self.metrics.exists() or self.metrics.stat().st_size == 0:
                self.remove()
            raise

    def remove(self) -> None:
        """Remove the folder and all that is in it."""
        shutil.rmtree(self.path)

    def describe(self, config: object, manifest: Mapping[str, Any]) -> None:
        """Write manifest.json and config.json, the first files of a new run."""
        write_json(self.manifest, dict(manifest))
        save_config(config, self.config)  # last: with it the folder is a run's

    def read_manifest(self) -> dict[str, Any]:
        """The manifest; UserError when there is none."""
        return read_json_object(self.manifest)


def check_name(name: str) -> None:
    """Refuse what cannot name a run or an evaluation: UserError for a path or nothing."""
    if not name or name.startswith(".") or "/" in name or "\0" in name:
        raise UserError(f"is {name!r}", mend="use a plain name", key="name")


def make_manifest(
    *, recipe: str, seed: int, inputs: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """What made a run, as a JSON object.

    Args:
        recipe: the command, such as ``finetune``.
        seed: the run's seed.
        inputs: hash of each input by name: house files, demonstrations, a checkpoint.
    """
    return {
        "recipe": recipe,
        "seed": seed,
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "argv": list(sys.argv),
        "git": git_state(Path(__file__).parent),
        "versions": package_versions(),
        "machine": machine(),
        "inputs": dict(inputs or {}),
    }


def file_hashes(paths: Iterable[PathLike]) -> dict[str, str]:
    """SHA-256 of each file, by path, for a manifest's ``inputs``.

    Raises:
        UserError: a file cannot be read.
    """
    hashes: dict[str, str] = {}
    for path in paths:
        try:
            hashes[os.fspath(path)] = hashlib.sha256(Path(path).read_bytes()).hexdigest()
        except OSError as error:
            raise UserError(
                f"cannot read ({error.strerror})", mend="check the path", file=path
            ) from error
    return hashes


def package_versions() -> dict[str, str]:
    """Versions of Python, flare and the packages that can change numbers, where installed."""
    versions = {"python": platform.python_version(), "flare": __version__}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def machine() -> dict[str, Any]:
    """The machine: processor, usable cores, memory in bytes, operating system."""
    return {
        "cpu": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "os": platform.platform(),
    }


def git_state(folder: PathLike) -> dict[str, Any] | None:
    """Commit of the checkout that holds ``folder`` and whether it is changed; None outside one."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", os.fspath(folder), *arguments]
        answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
        return answer.stdout.strip()

    try:
        return {
            "commit": git("rev-parse", "HEAD"),
            "changed": bool(git("status", "--porcelain", "--untracked-files=no")),
        }
    except (OSError, subprocess.SubprocessError):  # no git here, or no checkout
        return None


def check_free_disk(folder: PathLike, need_bytes: int) -> None:
    """Raise UserError when the disk of ``folder`` (or its nearest parent) has too little room."""
    place = Path(folder).absolute()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if free < need_bytes:
        raise UserError(
            f"{free / 1e9:.1f} GB free where the run needs {need_bytes / 1e9:.1f} GB",
            mend="free space, or choose a folder on another disk",
            file=folder,
        )


def _free_name(base: Path, prefix: str) -> Path:
    stem = f"{prefix}-{time.strftime('%Y%m%d-%H%M%S')}"
    path, number = base / stem, 2
    while path.exists():
        path, number = base / f"{stem}-{number}", number + 1
    return path


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
