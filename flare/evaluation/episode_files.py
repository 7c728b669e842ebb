"""Frozen evaluation episodes: a JSON-lines file in which any change is noticed.

The first line is a header, then one line an episode. Every line carries a ``check``, the digest of
itself and all lines before it, so that a changed, lost, added or moved line is found and named; the
last check stands in the header as ``hash`` and names the file's content in manifests and reports.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from flare.atomic import PathLike, write_text
from flare.config import parse_json_object
from flare.errors import UserError

FORMAT = "flare-episodes"
VERSION = 2
_MEND = "restore the file, or freeze new episodes and do not compare with results on the old ones"


@dataclass(frozen=True, kw_only=True, slots=True)
class EpisodeSpec:
    """One evaluation episode: where it starts, what it asks for, how well an expert does."""

    episode: int  # position in the file, from 0
    house: int  # index in the house file
    house_hash: str  # of the house's content, hexadecimal
    start: tuple[float, float, float]  # x m, z m, yaw degrees
    task: str
    targets: tuple[int, ...]  # indices into the house's objects
    rooms: tuple[int, ...]  # indices of the goal rooms
    target_type: str  # what the results are grouped by, e.g. the goal's object type
    instruction: str
    seed: int  # keys everything random inside the episode
    expert_length: int  # actions of the shortest-path expert; -1: it failed
    shortest_path: float  # m to walk until success is possible; -1: unreachable


@dataclass(frozen=True, kw_only=True, slots=True)
class EpisodeFile:
    """The episodes of one split and what they belong to."""

    split: str
    task: str
    house_file: str  # name of the house file, without its folder
    house_file_sha256: str  # of its bytes, hexadecimal
    episodes: tuple[EpisodeSpec, ...]

    def __post_init__(self) -> None:
        for position, episode in enumerate(self.episodes):
            if episode.episode != position:
                raise ValueError(f"episode {episode.episode} stands at position {position}")

    @property
    def hash(self) -> str:
        """Digest of the content (header and all episodes), 64 hexadecimal digits."""
        return _checks(self._header(), [asdict(episode) for episode in self.episodes])[-1]

    def write(self, path: PathLike) -> str:
        """Write the file, whole or not at all, and return its hash.

        Raises:
            UserError: the disk is full or the folder cannot be written to.
        """
        bodies = [asdict(episode) for episode in self.episodes]
        header_check, *checks = _checks(self._header(), bodies)
        digest = checks[-1] if checks else header_check
        lines = [_line({**self._header(), "check": header_check, "hash": digest})]
        lines += [
            _line({**body, "check": check}) for body, check in zip(bodies, checks, strict=True)
        ]
        write_text(path, "".join(lines))
        return digest

    @classmethod
    def read(cls, path: PathLike, *, house_file: PathLike | None = None) -> "EpisodeFile":
        """Read a file and check every line.

        Args:
            path: the episode file.
            house_file: if given, its bytes must be those that the episodes were frozen on.

        Raises:
            UserError: no such file, another format, a changed line (which is named), or other
                houses.
        """
        header, *bodies = _read_lines(path)
        _check_header(header, path)
        digest = header.pop("hash", None)
        checks = _verify([header, *bodies], path)
        if len(bodies) != header["count"] or checks[-1] != digest:
            raise UserError(
                f"{len(bodies)} episodes stand where {header['count']} were frozen",
                mend=_MEND, file=path, key=f"line {len(bodies) + 2}",
            )  # fmt: skip
        file = cls(
            split=header["split"],
            task=header["task"],
            house_file=header["house_file"],
            house_file_sha256=header["house_file_sha256"],
            episodes=tuple(_spec(body, path, i + 2) for i, body in enumerate(bodies)),
        )
        if house_file is not None:
            file.check_houses(house_file)
        return file

    def check_houses(self, house_file: PathLike) -> None:
        """Raise UserError unless the file has the bytes that the episodes were frozen on."""
        if file_sha256(house_file) != self.house_file_sha256:
            raise UserError(
                f"not the houses of these episodes, which were frozen on {self.house_file} "
                f"(sha256 {self.house_file_sha256[:12]}…)",
                mend="give the original house file, or freeze new episodes",
                file=house_file,
            )

    def _header(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "version": VERSION,
            "split": self.split,
            "task": self.task,
            "house_file": self.house_file,
            "house_file_sha256": self.house_file_sha256,
            "count": len(self.episodes),
        }


def file_sha256(path: PathLike) -> str:
    """Digest of a file's bytes, 64 hexadecimal digits.

    Raises:
        UserError: the file cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise _unreadable(path, error) from error
    return digest.hexdigest()


def _checks(header: Mapping[str, Any], bodies: list[dict[str, Any]]) -> list[str]:
    """Chain the digests of the header and of each episode."""
    checks: list[str] = []
    for content in [header, *bodies]:
        previous = checks[-1] if checks else ""
        checks.append(hashlib.sha256((previous + _line(content)).encode()).hexdigest())
    return checks


def _verify(lines: list[dict[str, Any]], path: PathLike) -> list[str]:
    """Take the checks out of the lines and compare each with what it should be."""
    found = [line.pop("check", None) for line in lines]
    wanted = _checks(lines[0], lines[1:])
    for number, (have, want) in enumerate(zip(found, wanted, strict=True), start=1):
        if have != want:
            raise UserError(
                "this line, or its place, is not what was frozen",
                mend=_MEND, file=path, key=f"line {number}",
            )  # fmt: skip
    return wanted


def _line(content: Mapping[str, Any]) -> str:
    """Return the canonical JSON of one line: the same content gives the same bytes."""
    text = json.dumps(
        content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text + "\n"


def _read_lines(path: PathLike) -> list[dict[str, Any]]:
    try:
        text = Path(path).read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error
    if not text.endswith(b"\n"):
        raise UserError("empty or cut off", mend=_MEND, file=path)
    return [
        parse_json_object(line, mend=_MEND, file=path, key=f"line {number}")
        for number, line in enumerate(text[:-1].split(b"\n"), start=1)
    ]


def _check_header(header: Mapping[str, Any], path: PathLike) -> None:
    if header.get("format") != FORMAT:
        raise UserError(
            "not a file of frozen episodes", mend="give one that flare wrote", file=path
        )
    if header.get("version") != VERSION:
        raise UserError(
            f"is {header.get('version')!r}, this flare reads version {VERSION}",
            mend="freeze new episodes with this flare",
            file=path,
            key="version",
        )


def _spec(body: Mapping[str, Any], path: PathLike, number: int) -> EpisodeSpec:
    names = {field.name for field in fields(EpisodeSpec)}
    if body.keys() != names:
        wrong = ", ".join(sorted(body.keys() ^ names))
        raise UserError(
            f"fields missing or unknown: {wrong}", mend=_MEND, file=path, key=f"line {number}"
        )
    x, z, yaw = body["start"]
    content = {**body, "start": (x, z, yaw), "targets": tuple(body["targets"]),
               "rooms": tuple(body["rooms"])}  # fmt: skip
    return EpisodeSpec(**content)


def _unreadable(path: PathLike, error: OSError) -> UserError:
    return UserError(f"cannot read ({error.strerror})", mend="check the path", file=path)
