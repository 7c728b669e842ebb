"""Where task specs are read from: JSON-lines files and folders of published trajectories."""

import gzip
import json
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import h5py

from flare.config import parse_json_object
from flare.data.layout import SENSORS_FILE, TASKS_OF_TYPE, decode_text
from flare.data.task_spec import TaskSpec, parse_task_spec
from flare.data.windows import Sample, find_samples
from flare.errors import UserError

_LINE_ENDINGS = (".jsonl", ".jsonl.gz")


class SpecSource(Protocol):
    """Task specs by number."""

    def __len__(self) -> int:
        """How many there are."""
        ...

    def place(self, number: int) -> tuple[str, int]:
        """Task and house of one, without reading more than is known; ("", -1): none of ours."""
        ...

    def read(self, number: int) -> TaskSpec:
        """One of them.

        Raises:
            UserError: it cannot be read.
        """
        ...


class LineSpecs:
    """A .jsonl or .jsonl.gz file of one task spec a line; kept in memory as text."""

    def __init__(self, file: Path) -> None:
        """Read the lines.

        Raises:
            UserError: no such file, or one that is damaged or empty.
        """
        self._file = file
        opened = gzip.open if file.name.endswith(".gz") else open
        try:
            with opened(file, "rt", encoding="utf-8") as stream:
                lines = [(i, line) for i, line in enumerate(stream, start=1) if line.strip()]
        except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
            raise UserError(
                f"cannot be read ({error})", file=file, mend="check the path, or download it again"
            ) from error
        if not lines:
            raise UserError("holds no task spec", file=file, mend="give a file with some")
        mend = "check that the file was written completely"
        self._documents = [
            (number, parse_json_object(line, mend=mend, file=file, key=f"line {number}"))
            for number, line in lines
        ]

    def __len__(self) -> int:
        return len(self._documents)

    def place(self, number: int) -> tuple[str, int]:
        """Task and house, from the line."""
        _, document = self._documents[number]
        house = document.get("house_index", document.get("house_line", -1))
        task = TASKS_OF_TYPE.get(str(document.get("task_type")), "")
        return task, house if isinstance(house, int) else -1

    def read(self, number: int) -> TaskSpec:
        """The line, parsed."""
        line, document = self._documents[number]
        return _parsed(document, self._file, f"line {line}")


class TrajectorySpecs:
    """Starts and goals of the episodes of ``<task>/<split>``; files are opened when drawn."""

    def __init__(self, folder: Path) -> None:
        """Find the episodes of ``<task>/<split>``.

        Raises:
            UserError: the task has no list of episodes.
        """
        self._samples = find_samples(folder.parent, folder.name)
        self._task = TASKS_OF_TYPE.get(folder.parent.name, "")
        if not self._task:
            raise UserError(
                "is no task's folder",
                file=folder.parent,
                mend=f"give <task>/<split> with a task such as {', '.join(TASKS_OF_TYPE)}",
            )

    def __len__(self) -> int:
        return len(self._samples)

    def place(self, number: int) -> tuple[str, int]:
        """Task and house, from the folders' names."""
        return self._task, int(self._samples[number].folder.name)

    def read(self, number: int) -> TaskSpec:
        """Row 0 of the episode's sensors."""
        sample = self._samples[number]
        file = sample.folder / SENSORS_FILE
        try:
            document = _first_row(sample)
        except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
            raise UserError(
                f"cannot be read ({error})", file=file, key=sample.episode,
                mend="download or collect the data again",
            ) from error  # fmt: skip
        return _parsed(document, file, sample.episode)


def _first_row(sample: Sample) -> dict[str, Any]:
    """The templated task spec with house and pose beside it."""
    with h5py.File(sample.folder / SENSORS_FILE) as file:
        group = file[sample.episode]
        place = group["last_agent_location"][0]
        document: dict[str, Any] = json.loads(decode_text(group["templated_task_spec"][0]))
        document["house_index"] = int(group["house_index"][0])
    document["agent_starting_position"] = [float(value) for value in place[:3]]
    document["agent_y_rotation"] = float(place[4])
    return document


def _parsed(document: dict[str, Any], file: Path, key: str) -> TaskSpec:
    try:
        return parse_task_spec(document)
    except KeyError as error:
        raise UserError(
            f"lacks {error.args[0]!r}", file=file, key=key, mend="give a whole task spec"
        ) from error
    except (ValueError, TypeError, AttributeError) as error:
        raise UserError(str(error), file=file, key=key, mend="mend the task spec") from error


class JoinedSpecs:
    """Several sources one after the other."""

    def __init__(self, parts: Sequence[SpecSource]) -> None:
        self._at = [(part, i) for part in parts for i in range(len(part))]

    def __len__(self) -> int:
        return len(self._at)

    def place(self, number: int) -> tuple[str, int]:
        """Task and house of one."""
        part, i = self._at[number]
        return part.place(i)

    def read(self, number: int) -> TaskSpec:
        """One of them."""
        part, i = self._at[number]
        return part.read(i)


def open_specs(paths: Sequence[Path]) -> SpecSource:
    """The task specs of JSON-lines files and of folders ``<task>/<split>``.

    Raises:
        UserError: one of them is neither, or cannot be read.
    """
    return JoinedSpecs([_open(path) for path in paths])


def _open(path: Path) -> SpecSource:
    if path.is_dir():
        return TrajectorySpecs(path)
    if path.name.endswith(_LINE_ENDINGS):
        return LineSpecs(path)
    raise UserError(
        "is neither a folder <task>/<split> nor a .jsonl.gz file of task specs",
        file=path,
        key="task.sampler.specs",
        mend="give the path of one",
    )
