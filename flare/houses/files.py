"""House files: one JSON document a line (.jsonl, .jsonl.gz), or a document by itself (.json)."""

import gzip
import json
import os
import zlib
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Any

from flare.atomic import atomic_write, make_directory
from flare.config import parse_json_object
from flare.errors import UserError

_LINE_ENDINGS = (".jsonl", ".jsonl.gz")


def read_houses(path: str | os.PathLike[str], limit: int | None = None) -> list[tuple[str, str]]:
    """Read house documents as text.

    Args:
        path: a .jsonl or .jsonl.gz file of one document a line (blank lines are skipped), or a
            .json or .json.gz file that is one document.
        limit: read no more than this many houses.

    Returns: (source, JSON text) of each house; a source is "val.jsonl.gz line 3", counted from 1.
    Raises: UserError for a missing or damaged file, a line that is not a JSON object, or no house.
    """
    file = Path(path)
    if not file.name.endswith((*_LINE_ENDINGS, ".json", ".json.gz")):
        raise UserError(
            f"{file.name!r} is no house file", file=file, mend="give a .jsonl.gz, .jsonl or .json"
        )
    try:
        if file.name.endswith(_LINE_ENDINGS):
            houses = list(islice(_read_lines(file), limit))
        else:
            with _open_text(file) as stream:
                text = stream.read()
            _check_object(text, file, None)
            houses = [(file.name, text)]
    except (FileNotFoundError, IsADirectoryError) as error:
        raise UserError("there is no such file", file=file, mend="check the path") from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(
            f"is damaged: {error}", file=file, mend="download or generate the file again"
        ) from error
    except OSError as error:
        raise UserError(
            f"cannot be read ({error.strerror})", file=file, mend="check the path and permissions"
        ) from error
    except UnicodeDecodeError as error:
        raise UserError("is not UTF-8 text", file=file, mend="save it as UTF-8") from error
    if not houses:
        raise UserError("holds no house", file=file, mend="give a file with at least one line")
    return houses


def write_houses(path: str | os.PathLike[str], houses: Iterable[dict[str, Any]]) -> int:
    """Write house documents one a line; the file appears as a whole or not at all.

    The same houses give the same bytes: compact JSON, and a gzip header without a time or name.

    Args:
        path: a .jsonl or .jsonl.gz file; its folder is made where it is missing.
        houses: documents, taken one at a time.

    Returns: how many were written.
    Raises: UserError for another ending of the name or a disk that refuses.
    """
    file = Path(path)
    if not file.name.endswith(_LINE_ENDINGS):
        raise UserError(
            f"{file.name!r} names no house file", file=file, mend="end it in .jsonl.gz or .jsonl"
        )
    count = 0
    try:
        make_directory(file.parent)
        with atomic_write(file) as raw:
            zipped = file.name.endswith(".gz")
            out = gzip.GzipFile("", "wb", 6, raw, mtime=0) if zipped else raw
            for house in houses:
                line = json.dumps(house, separators=(",", ":"), ensure_ascii=False) + "\n"
                out.write(line.encode())
                count += 1
            if zipped:
                out.close()
    except OSError as error:
        raise UserError(
            f"could not be written: {error.strerror or error}",
            file=file,
            mend="make room on the disk or choose another folder",
        ) from error
    return count


def _open_text(file: Path) -> IO[str]:
    if file.name.endswith(".gz"):
        return gzip.open(file, "rt", encoding="utf-8")
    return file.open(encoding="utf-8")


def _read_lines(file: Path) -> Iterator[tuple[str, str]]:
    with _open_text(file) as stream:
        for number, line in enumerate(stream, start=1):
            if line.strip():
                source = f"{file.name} line {number}"
                _check_object(line, file, f"line {number}")
                yield source, line.rstrip("\n")


def _check_object(text: str, file: Path, place: str | None) -> None:
    """Say at once which line is broken; what the document means is the house loader's business."""
    parse_json_object(text, mend="check that the file was written completely", file=file, key=place)
