"""What a run records: JSON lines of iterations and episodes, and the running success rate."""

import json
import math
import os
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from flare import tensorboard
from flare.atomic import PathLike, explained
from flare.config import parse_json_object
from flare.errors import UserError
from flare.tensorboard import EventFile

Record = dict[str, Any]


LogT = TypeVar("LogT", bound="JsonLines")


class JsonLines:
    """Appends records to a file, one JSON object a line; a crash costs at most the last line.

    Opening cuts off an unfinished last line, and with ``keep_lines`` everything after so many
    lines: the part that a resumed run is about to write again.
    """

    def __init__(self, path: PathLike, *, keep_lines: int | None = None) -> None:
        """Open ``path`` for appending and create it if needed.

        Raises:
            UserError: there are fewer than ``keep_lines`` complete lines, or the file cannot be
                written.
        """
        self.path = Path(path)
        try:
            self.num_lines = _cut(self.path, keep_lines)
            self._file = open(self.path, "ab")  # noqa: SIM115 (closed by close)
        except OSError as error:
            raise explained(error, self.path, 0) from error

    def append(self, record: Mapping[str, Any]) -> None:
        """Write one record; numbers that JSON lacks (NaN, infinities) become null.

        Raises:
            UserError: the disk is full.
        """
        try:
            self._file.write(json_line(record))
        except OSError as error:
            raise explained(error, self.path, 0) from error
        self.num_lines += 1

    def extend(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Write several records."""
        for record in records:
            self.append(record)

    def sync(self) -> None:
        """Make all that was appended durable.

        Raises:
            UserError: the disk is full.
        """
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise explained(error, self.path, 0) from error

    def close(self) -> None:
        """Sync and close; more than once is fine."""
        if not self._file.closed:
            self.sync()
            self._file.close()

    def __enter__(self: LogT) -> LogT:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class MetricsLog(JsonLines):
    """``metrics.jsonl``: one line an iteration, durable when append returns.

    A record has ``stage``, ``iteration`` and ``step``; what changes from run to run (timings,
    steps/s, ``unix``: seconds when it was appended) stands under ``time`` and everything else is
    deterministic. The same records become TensorBoard events where that package is installed.
    """

    def __init__(
        self, path: PathLike, *, keep_lines: int | None = None, events: PathLike | None = None
    ) -> None:
        """Open ``path`` for appending; see JsonLines.

        Args:
            path: the JSON-lines file.
            keep_lines: how many of its lines stay; None keeps all.
            events: folder of the TensorBoard events of the same records; None writes none.
        """
        super().__init__(path, keep_lines=keep_lines)
        self._events: EventFile | None = None
        if events is not None and tensorboard.is_installed():
            self._events = EventFile(events, read_records(path))

    def append(self, record: Mapping[str, Any]) -> None:
        """Write one iteration's record and make it durable."""
        missing = {"stage", "iteration", "step"} - record.keys()
        if missing:
            raise ValueError(f"a metrics record needs {', '.join(sorted(missing))}")
        clock = {**record.get("time", {}), "unix": round(time.time(), 3)}
        stamped = {str(key): _plain(value) for key, value in {**record, "time": clock}.items()}
        super().append(stamped)
        self.sync()
        if self._events is not None:
            self._events.append(stamped)

    def close(self) -> None:
        """Sync and close the file and the events; more than once is fine."""
        super().close()
        if self._events is not None:
            self._events.close()

    @classmethod
    def resume(
        cls, path: PathLike, *, stage: str, iteration: int, events: PathLike | None = None
    ) -> "MetricsLog":
        """Go on after ``iteration`` of ``stage``: later lines of that stage, and after, are cut."""
        keep = 0
        if Path(path).exists():
            for record in read_records(path):
                if record.get("stage") == stage and record.get("iteration", -1) > iteration:
                    break
                keep += 1
        return cls(path, keep_lines=keep, events=events)


class EpisodeLog(JsonLines):
    """``episodes.jsonl``: one line an episode; call sync once an iteration.

    On resume pass ``keep_lines``, the ``num_lines`` that the checkpoint's counters hold.
    """


def json_line(record: Mapping[str, Any]) -> bytes:
    """One record as a line of strict JSON; numpy and torch scalars become plain numbers."""
    return (json.dumps(_plain(record), allow_nan=False, ensure_ascii=False) + "\n").encode()


def read_records(path: PathLike) -> Iterator[Record]:
    """The complete lines of a JSON-lines file, in order.

    A last line without its newline is what a killed writer leaves; it is not a record yet.

    Raises:
        UserError: no such file, or a complete line that is not a JSON object.
    """
    try:
        file = open(path, "rb")  # noqa: SIM115 (the with below would put the loop into this try)
    except OSError as error:
        raise UserError(
            f"cannot read ({error.strerror})", mend="check the path", file=path
        ) from error
    with file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return
            yield parse_json_object(line, mend="restore this line", file=path, key=f"line {number}")


def _cut(path: Path, keep_lines: int | None) -> int:
    """Create the file, or cut it after its complete lines, at most keep_lines; how many stay."""
    lines, end = 0, 0
    with open(path, "a+b") as file:
        file.seek(0)
        for line in file:
            if not line.endswith(b"\n") or lines == keep_lines:
                break
            lines, end = lines + 1, end + len(line)
        if keep_lines is not None and lines < keep_lines:
            raise UserError(
                f"{lines} lines where the checkpoint knows {keep_lines}",
                mend="resume from an untouched copy of the run",
                file=path,
            )
        file.truncate(end)
    return lines


class SuccessWindow:
    """Success over the last ``size`` episodes; its state is saved, so resuming changes nothing."""

    def __init__(self, size: int = 100) -> None:
        if size < 1:
            raise ValueError(f"a window holds at least one episode, got {size}")
        self._recent: deque[bool] = deque(maxlen=size)

    def add(self, success: bool) -> None:
        """Add one finished episode."""
        self._recent.append(bool(success))

    @property
    def count(self) -> int:
        """Episodes in the window."""
        return len(self._recent)

    @property
    def rate(self) -> float:
        """Share of successes in the window; NaN while it is empty."""
        return sum(self._recent) / len(self._recent) if self._recent else math.nan

    def interval(self) -> tuple[float, float, float]:
        """The rate with its Wilson 95 % interval, (rate, low, high); (NaN, 0, 1) while empty."""
        return (self.rate, *wilson_interval(sum(self._recent), len(self._recent)))

    def state_dict(self) -> dict[str, list[int]]:
        """The window's content, oldest first."""
        return {"recent": [int(success) for success in self._recent]}

    def load_state_dict(self, state: Mapping[str, Iterable[int]]) -> None:
        """Take over the content of another window."""
        self._recent.clear()
        self._recent.extend(bool(success) for success in state["recent"])


def wilson_interval(successes: int, count: int, z: float = 1.959964) -> tuple[float, float]:
    """Wilson's score interval of a proportion, clipped to [0, 1]; (0, 1) without trials.

    centre = (p + z²/2n) / (1 + z²/n), half = z/(1 + z²/n) · sqrt(p(1−p)/n + z²/4n²).
    Source: Wilson 1927, JASA 22; z = 1.96 for 95 %.
    """
    if count == 0:
        return (0.0, 1.0)
    p, scale = successes / count, 1.0 + z * z / count
    centre = (p + z * z / (2 * count)) / scale
    half = z / scale * math.sqrt(p * (1 - p) / count + z * z / (4 * count * count))
    # At no and at only successes one end is exact; rounding must not say otherwise.
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == count else min(1.0, centre + half)
    return (low, high)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):  # numpy arrays and scalars, torch tensors
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
