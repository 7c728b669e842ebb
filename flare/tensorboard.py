"""The records of metrics.jsonl once more, as events for TensorBoard.

The events are derived: opening writes them anew from the lines that stand in the file. So a resumed
run has no step twice, and one that began without the package gets its whole curves later.
"""

import importlib.util
import os
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from flare.atomic import PathLike, explained, make_directory
from flare.config import flatten

HOW_TO_GET = "no TensorBoard events are written; for them: pip install 'flare-rl[tensorboard]'"


def is_installed() -> bool:
    """Whether events can be written."""
    return importlib.util.find_spec("tensorboard") is not None


def tell_if_missing(say: Callable[[str], None]) -> None:
    """Say once, at the start of a command, how to get events."""
    if not is_installed():
        say(HOW_TO_GET)


class EventFile:
    """One event file in a folder of its own; every number of a record is a scalar of its stage.

    The tag is ``<stage>/<key>``, the keys of nested objects joined by slashes; the step and the
    wall time are the record's.
    """

    def __init__(self, folder: PathLike, records: Iterable[Mapping[str, Any]]) -> None:
        """Replace the folder's events by those of ``records``; needs the tensorboard package.

        Raises:
            UserError: the folder cannot be written to, or the disk is full.
        """
        from tensorboard.compat.proto.event_pb2 import SessionLog
        from tensorboard.summary.writer.record_writer import RecordWriter

        place = make_directory(folder)
        self._path = place / _file_name()
        try:
            for old in place.glob("*tfevents*"):
                _empty(old)
            self._file = open(self._path, "xb")  # noqa: SIM115 (closed by close)
        except OSError as error:
            raise explained(error, self._path, 0) from error
        self._writer = RecordWriter(self._file)
        self._write(wall_time=time.time(), file_version="brain.Event:2")
        # A TensorBoard that is looking forgets what it read from the old file.
        start = SessionLog(status=SessionLog.START)
        self._write(wall_time=time.time(), step=0, session_log=start)
        for record in records:
            self._write_record(record)
        self._flush()

    def append(self, record: Mapping[str, Any]) -> None:
        """Write one record of metrics.jsonl and make it visible.

        Raises:
            UserError: the disk is full.
        """
        self._write_record(record)
        self._flush()

    def close(self) -> None:
        """Close the file; more than once is fine."""
        self._file.close()

    def _write_record(self, record: Mapping[str, Any]) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        numbers = [
            Summary.Value(tag=f"{record['stage']}/{key.replace('.', '/')}", simple_value=value)
            for key, value in flatten(record).items()
            if key not in _NOT_SCALARS and _is_number(value)
        ]
        wall_time = record.get("time", {}).get("unix", 0.0)
        self._write(wall_time=wall_time, step=record["step"], summary=Summary(value=numbers))

    def _write(self, **fields: object) -> None:
        from tensorboard.compat.proto.event_pb2 import Event

        self._writer.write(Event(**fields).SerializeToString())

    def _flush(self) -> None:
        try:
            self._file.flush()
        except OSError as error:
            raise explained(error, self._path, 0) from error


_NOT_SCALARS = ("iteration", "step", "time.unix")  # the axes, not the curves


def _empty(file: Path) -> None:
    """Drop an old file's events; TensorBoard, which may wait at its end, loses a removed file."""
    if file.stat().st_size == 0:
        file.unlink()
    else:
        os.truncate(file, 0)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _file_name() -> str:
    """TensorBoard finds files by ``tfevents`` and reads them in the order of their names."""
    return f"events.out.tfevents.{time.time_ns()}.{socket.gethostname()}.{os.getpid()}"
