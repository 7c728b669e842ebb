"""Fetches files over HTTP: in pieces, side by side, resumable, and never half in place.

A file grows under a hidden ``.part`` name beside its place, with a small JSON file that says which
pieces are there; a later run goes on from these. It gets its name when every byte is there and
checked. Servers may stall, cut answers short, answer with errors or tell wrong sizes.
"""

import errno
import http.client
import json
import os
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from flare import __version__
from flare.atomic import explained, make_directory, sync_directory, write_json
from flare.data.checksum import Digest, damage, differs, published_digest
from flare.errors import UserError

T = TypeVar("T")

_CHUNK = 256 * 1024  # bytes read at a time
_HEADERS = {"User-Agent": f"flare/{__version__}"}
_GONE = (400, 401, 403, 404, 410, 416, 451)  # asking again does not help


@dataclass(frozen=True, kw_only=True, slots=True)
class HttpConfig:
    """How patient and how parallel downloads are."""

    connections: int = 4
    timeout_s: float = 30.0  # without a byte, before a connection counts as stalled
    attempts: int = 6  # in a row without a new byte, before giving up
    backoff_s: float = 0.5  # before the second attempt; doubles with each
    piece_bytes: int = 16 * 2**20


class StoppedError(Exception):
    """Someone asked to stop; what is there will be gone on with."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Remote:
    """What a server says of a file before it is fetched."""

    url: str
    size: int  # bytes
    etag: str  # "" if it has none
    takes_ranges: bool
    digest: Digest | None  # where one is published


@dataclass(slots=True)
class Progress:
    """Bytes so far of all files together; threads add to it."""

    done: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, count: int) -> None:
        """Count bytes, or take back those that were lost."""
        with self.lock:
            self.done += count


def probe(url: str, config: HttpConfig) -> Remote:
    """Ask for a file's size without fetching it.

    Raises:
        UserError: no answer, an error, or no size.
    """

    def ask() -> Remote:
        request = urllib.request.Request(url, method="HEAD", headers=_HEADERS)
        with urllib.request.urlopen(request, timeout=config.timeout_s) as answer:
            headers = answer.headers
            length = headers.get("Content-Length")
            if length is None or not length.isdecimal():
                raise UserError(f"{url} tells no size", mend="try again later, or another --mirror")
            return Remote(
                url=url,
                size=int(length),
                etag=headers.get("ETag", ""),
                takes_ranges=headers.get("Accept-Ranges", "").lower() == "bytes",
                digest=published_digest(headers),
            )

    return _patiently(ask, url, config)


def _patiently(
    work: Callable[[], T],
    url: str,
    config: HttpConfig,
    progressed: Callable[[], bool] = lambda: False,
) -> T:
    """Do ``work``, again after errors that may pass; ``progressed`` forgives those before."""
    failures = 0
    while True:
        try:
            return work()
        except urllib.error.HTTPError as error:
            problem = f"answers {error.code} {error.reason}"
            error.close()
            if error.code in _GONE:
                raise UserError(
                    f"{url} {problem}", mend="check the name, or give another --mirror"
                ) from error
        except (urllib.error.URLError, OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            problem = f"cannot be read ({reason or type(error).__name__})"
            if isinstance(error, OSError) and _is_disk(error):
                raise
        failures = 1 if progressed() else failures + 1
        if failures >= config.attempts:
            raise UserError(
                f"{url} {problem}, {failures} times in a row",
                mend="run the command again: it goes on from here",
            )
        time.sleep(min(30.0, config.backoff_s * 2 ** (failures - 1)))


def _is_disk(error: OSError) -> bool:
    """Not the network's; asking the server again does not help."""
    return error.errno in (
        errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.ENOENT, errno.EACCES,
    )  # fmt: skip


class _Partial:
    """The hidden file that grows, and which of its pieces are there."""

    def __init__(self, target: Path, remote: Remote, piece_bytes: int) -> None:
        self.remote = remote
        self.data = target.with_name(f".{target.name}.part")
        self._state = target.with_name(f".{target.name}.part.json")
        self.piece = piece_bytes if remote.takes_ranges else max(remote.size, 1)
        self._key = {"size": remote.size, "etag": remote.etag, "piece": self.piece}
        self.done: set[int] = self._known()
        self._lock = threading.Lock()
        if not self.done:
            self._state.unlink(missing_ok=True)
            with self.data.open("wb") as file:
                file.truncate(remote.size)

    @property
    def missing(self) -> list[int]:
        """Numbers of the pieces that are not there."""
        count = -(-self.remote.size // self.piece)
        return [i for i in range(count) if i not in self.done]

    def span(self, number: int) -> tuple[int, int]:
        """First byte of a piece and the one behind it."""
        start = number * self.piece
        return start, min(start + self.piece, self.remote.size)

    def finish_piece(self, number: int) -> None:
        """Note a piece that is on the disk."""
        with self._lock:
            self.done.add(number)
            write_json(self._state, {**self._key, "done": sorted(self.done)})

    def remove(self) -> None:
        """Forget all of it."""
        self.data.unlink(missing_ok=True)
        self._state.unlink(missing_ok=True)

    def move_to(self, target: Path) -> None:
        """Give the file its name."""
        os.replace(self.data, target)
        self._state.unlink(missing_ok=True)
        sync_directory(target.parent)

    def _known(self) -> set[int]:
        """Pieces of an earlier run, if they are of this very file."""
        try:
            state = json.loads(self._state.read_text())
            done = {int(number) for number in state.pop("done")}
            if state == self._key and self.data.stat().st_size == self.remote.size:
                return done
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            pass
        return set()


def _fetch_piece(
    partial: _Partial, number: int, config: HttpConfig, progress: Progress,
    should_stop: Callable[[], bool],
) -> None:  # fmt: skip
    start, end = partial.span(number)
    at = start

    def read() -> None:
        nonlocal at
        if not partial.remote.takes_ranges:
            progress.add(start - at)
            at = start
        with _open(partial.remote, at, end, config) as answer:
            while at < end:
                if should_stop():
                    raise StoppedError
                chunk = answer.read(min(_CHUNK, end - at))
                if not chunk:
                    raise ConnectionError(f"the answer ends {end - at} bytes early")
                os.pwrite(file, chunk, at)
                at += len(chunk)
                progress.add(len(chunk))

    farthest = at

    def progressed() -> bool:
        nonlocal farthest
        has_moved, farthest = at > farthest, max(at, farthest)
        return has_moved

    file = os.open(partial.data, os.O_WRONLY)
    try:
        _patiently(read, partial.remote.url, config, progressed)
        os.fsync(file)
    finally:
        os.close(file)
    partial.finish_piece(number)


def _open(remote: Remote, start: int, end: int, config: HttpConfig) -> http.client.HTTPResponse:
    """The answer that begins with byte ``start``.

    Raises:
        UserError: the server tells another size than before.
    """
    request = urllib.request.Request(remote.url, headers=_HEADERS)
    if remote.takes_ranges:
        request.add_header("Range", f"bytes={start}-{end - 1}")
    if remote.takes_ranges and remote.etag and not remote.etag.startswith("W/"):
        request.add_header("If-Range", remote.etag)
    answer: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=config.timeout_s)
    told: str | None = answer.headers.get("Content-Length")
    if answer.status == 206:
        span, _, told = answer.headers.get("Content-Range", "").rpartition("/")
        if span != f"bytes {start}-{end - 1}":
            answer.close()
            raise UserError(
                f"{remote.url} was asked for bytes {start}-{end - 1} and sends {span!r}",
                mend="give another --mirror",
            )
    elif start > 0 or end < remote.size:
        answer.close()
        raise UserError(
            f"{remote.url} has changed since the download began",
            mend="run the command again: it begins anew",
        )
    if told != str(remote.size):
        answer.close()
        raise UserError(
            f"{remote.url} tells two sizes, {remote.size} bytes and {told}",
            mend="try again later, or give another --mirror",
        )
    return answer


def is_here(target: Path, remote: Remote) -> bool:
    """Whether the file is in its place already, whole.

    Raises:
        UserError: another file is there, which is left alone.
    """
    if not target.exists():
        return False
    has_size = target.is_file() and target.stat().st_size == remote.size
    if has_size and not differs(target, remote.digest):
        return True
    raise UserError(
        f"exists already and is not what {remote.url} offers",
        file=target,
        mend="move it away, or choose another --out",
    )


def fetch_all(
    wanted: Sequence[tuple[Remote, Path]], config: HttpConfig, *, progress: Progress,
    on_tick: Callable[[], None] = lambda: None, should_stop: Callable[[], bool] = lambda: False,
) -> None:  # fmt: skip
    """Fetch files that are not in place, their pieces side by side.

    Args:
        wanted: files with their places, none of which exists.
        config: patience and parallelism.
        progress: counts bytes, those of earlier runs at once.
        on_tick: called a few times a second by this thread.
        should_stop: True leaves the pieces that are there for another run.

    Raises:
        UserError: a server that keeps failing, a damaged file, a disk that refuses.
        StoppedError: should_stop.
    """
    partials = [(_prepare(remote, place, config), place) for remote, place in wanted]
    for partial, _ in partials:
        for number in partial.done:
            start, end = partial.span(number)
            progress.add(end - start)
    failed = threading.Event()

    def stop() -> bool:
        return failed.is_set() or should_stop()

    with ThreadPoolExecutor(config.connections) as pool:
        jobs: list[Future[None]] = [
            pool.submit(_fetch_piece, partial, number, config, progress, stop)
            for partial, _ in partials
            for number in partial.missing
        ]
        left: set[Future[None]] = set(jobs)
        while left:
            done, left = wait(left, timeout=0.25, return_when=FIRST_EXCEPTION)
            on_tick()
            if stop() or any(job.exception() for job in done):
                failed.set()
                pool.shutdown(wait=True, cancel_futures=True)
                break
    _raise_first(jobs, wanted)
    for partial, place in partials:
        _complete(partial, place)


def _prepare(remote: Remote, place: Path, config: HttpConfig) -> _Partial:
    make_directory(place.parent)
    try:
        return _Partial(place, remote, config.piece_bytes)
    except OSError as error:
        raise explained(error, place, 0) from error


def _raise_first(jobs: Sequence[Future[None]], wanted: Sequence[tuple[Remote, Path]]) -> None:
    """The error that ended the others, if one did."""
    errors = [job.exception() for job in jobs if job.done() and not job.cancelled()]
    real = [error for error in errors if error is not None and not isinstance(error, StoppedError)]
    if real and isinstance(real[0], OSError):
        raise explained(real[0], wanted[0][1].parent, 0) from real[0]
    if real:
        raise real[0]
    if any(errors) or any(job.cancelled() for job in jobs):
        raise StoppedError


def _complete(partial: _Partial, place: Path) -> None:
    problem = damage(partial.data, place.name, partial.remote.digest)
    if problem:
        partial.remove()
        raise UserError(
            f"{partial.remote.url} came damaged ({problem}); it was thrown away",
            file=place,
            mend="run the command again",
        )
    if place.exists():  # since we asked
        raise UserError("has appeared meanwhile", file=place, mend="look who else writes there")
    partial.move_to(place)
