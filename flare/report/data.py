"""Everything the report shows, read from the files of a run folder; no live objects."""

import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flare.atomic import PathLike
from flare.config import parse_json_object, read_json_object
from flare.errors import UserError
from flare.evaluation.summary import read_episode_records, read_summary, write_comparison
from flare.metrics import read_records

Record = dict[str, Any]

BEFORE, AFTER = "before", "after"
_RUN_FILES = ("config.json", "manifest.json", "metrics.jsonl", "eval")  # a run has one of them


@dataclass(frozen=True, kw_only=True, slots=True)
class RunData:
    """The content of a run folder; what the run has not produced yet is empty or None."""

    path: Path
    config: Record | None
    manifest: Record | None
    metrics: dict[str, list[Record]]  # by stage, in order of iterations
    summaries: dict[str, Record]  # by stage: eval/<stage>.summary.json
    comparison: Record | None  # of before and after, pair by pair
    episodes: dict[str, list[Record]]  # by stage: eval/<stage>.jsonl
    video_files: list[Path]  # videos/*.npz, those of the evaluation after fine-tuning first

    @property
    def name(self) -> str:
        """The run's name, the folder's."""
        return self.path.resolve().name

    @property
    def action_names(self) -> tuple[str, ...]:
        """Names of the policy's actions, empty if the config does not tell them."""
        world = (self.config or {}).get("world")
        names = world.get("action_names") if isinstance(world, dict) else None
        return tuple(names or ())

    def houses(self, split: str, wanted: dict[int, str]) -> dict[int, Record]:
        """Read some houses of a split.

        Args:
            split: name of the file, ``houses/<split>.jsonl.gz`` or ``.jsonl``.
            wanted: index of each house and its source as records tell it.

        Returns: the house JSON by index; without the file, nothing.
        """
        file = next(
            (
                p
                for p in (self.path / "houses" / f"{split}{end}" for end in _HOUSE_ENDS)
                if p.exists()
            ),
            None,
        )
        if file is None or not wanted:
            return {}
        lines = {_line_of(index, source, file.name): index for index, source in wanted.items()}
        found: dict[int, Record] = {}
        opener = gzip.open if file.suffix == ".gz" else open
        with opener(file, "rt", encoding="utf-8") as stream:
            for number, text in enumerate(stream):
                if number in lines:
                    found[lines[number]] = parse_json_object(
                        text, mend="restore the houses", file=file, key=f"line {number + 1}"
                    )
        return found


_HOUSE_ENDS = (".jsonl.gz", ".jsonl")


def load_run(path: PathLike) -> RunData:
    """Read a run folder.

    Raises:
        UserError: no such folder, a folder that is no run, or a file in it that is not JSON.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise UserError("no such run", mend="give the folder of a run", file=folder)
    if not any((folder / name).exists() for name in _RUN_FILES):
        raise UserError(
            "not a run's folder: it has neither config.json nor metrics nor evaluations",
            mend="give the folder that a recipe made, such as runs/<name>",
            file=folder,
        )
    summaries = {
        file.name.removesuffix(".summary.json"): read_summary(file)
        for file in sorted((folder / "eval").glob("*.summary.json"))
    }
    return RunData(
        path=folder,
        config=_read_optional(folder / "config.json"),
        manifest=_read_optional(folder / "manifest.json"),
        metrics=_metrics(folder / "metrics.jsonl"),
        summaries=summaries,
        comparison=_comparison(folder),
        episodes={
            stage: read_episode_records(folder / "eval" / f"{stage}.jsonl")
            for stage in (BEFORE, AFTER)
            if (folder / "eval" / f"{stage}.jsonl").exists()
        },
        video_files=sorted((folder / "videos").glob("*.npz"), key=_newest_stage_first),
    )


def _newest_stage_first(file: Path) -> tuple[bool, str]:
    return not file.name.startswith(AFTER), file.name


def _comparison(folder: Path) -> Record | None:
    """Compare the evaluations anew, so that ``eval/comparison.json`` is never older than they."""
    records = [folder / "eval" / f"{stage}.jsonl" for stage in (BEFORE, AFTER)]
    return write_comparison(folder) if all(path.exists() for path in records) else None


def _line_of(index: int, source: str, file_name: str) -> int:
    """Line of a house, from 0: the source's if it names one of this file, else the index."""
    name, _, line = source.rpartition(" line ")
    return int(line) - 1 if name.endswith(file_name) and line.isdigit() else index


def _metrics(path: Path) -> dict[str, list[Record]]:
    stages: dict[str, list[Record]] = {}
    for record in read_records(path) if path.exists() else []:
        stages.setdefault(str(record.get("stage", "run")), []).append(record)
    return stages


def _read_optional(path: Path) -> Record | None:
    return read_json_object(path) if path.exists() else None
