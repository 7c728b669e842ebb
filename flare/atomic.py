"""Files that are whole or absent: temporary name in the same folder, fsync, rename, fsync of it.

A reader, a crash or a full disk never meets half a file, and an old file survives a failed write.
"""

import errno
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from flare.errors import UserError

PathLike = str | os.PathLike[str]


@contextmanager
def atomic_write(path: PathLike) -> Iterator[BinaryIO]:
    """Open ``path`` for writing bytes; it appears, whole, when the block ends without an error.

    Raises:
        UserError: as atomic_path.
    """
    with atomic_path(path) as temporary, open(temporary, "xb") as file:
        yield file


@contextmanager
def atomic_path(path: PathLike) -> Iterator[Path]:
    """A temporary path for libraries that open files themselves; ``path`` appears when it ends.

    Raises:
        UserError: the disk is full, or the folder is missing or read-only.
    """
    final = Path(path)
    temporary = temporary_name(final)
    try:
        yield temporary
        _sync_file(temporary)
        os.replace(temporary, final)
        sync_directory(final.parent)
    except OSError as error:
        raise explained(error, final, _size(temporary)) from error
    finally:
        _remove(temporary)


def write_bytes(path: PathLike, data: bytes | memoryview) -> None:
    """Write ``data`` to ``path`` atomically; see atomic_write for the errors."""
    with atomic_write(path) as file:
        file.write(data)


def write_text(path: PathLike, text: str) -> None:
    """Write ``text`` to ``path`` atomically, as UTF-8."""
    write_bytes(path, text.encode())


def write_json(path: PathLike, value: object) -> None:
    """Write ``value`` to ``path`` atomically, as indented JSON with a newline at its end."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def make_directory(path: PathLike) -> Path:
    """Make a folder and those above it; one that exists stays as it is.

    Raises:
        UserError: the disk is full, something else has the name, or the place is read-only.
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise explained(error, folder, 0) from error
    return folder


def replace_directory(temporary: PathLike, final: PathLike) -> None:
    """Give the folder ``temporary`` the name ``final``, durably, replacing what stands there.

    Both must lie on the same file system. Without an old ``final`` this is one rename. With one, it
    is moved aside first, so a crash in between leaves the old folder under a ``.tmp`` name.

    Raises:
        UserError: the disk is full or the folder is read-only; ``final`` is as it was.
    """
    new, target = Path(temporary), Path(final)
    aside = temporary_name(target)
    try:
        for folder, _, names in os.walk(new):
            for name in names:
                _sync_file(Path(folder, name))
            sync_directory(Path(folder))
        if target.exists():
            os.replace(target, aside)
        try:
            os.replace(new, target)
        except OSError:
            if aside.exists():
                os.replace(aside, target)
            raise
        sync_directory(target.parent)
    except OSError as error:
        raise explained(error, target, 0) from error
    shutil.rmtree(aside, ignore_errors=True)


def replace_symlink(link: PathLike, target: str) -> None:
    """Point ``link`` at ``target`` (relative to the link's folder) in one step.

    Where the file system has no symbolic links the link becomes a text file that holds the target;
    read_pointer reads both.
    """
    final = Path(link)
    temporary = temporary_name(final)
    try:
        os.symlink(target, temporary)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS):
            raise explained(error, final, 0) from error
        write_text(final, target + "\n")
        return
    try:
        os.replace(temporary, final)
        sync_directory(final.parent)
    except OSError as error:
        raise explained(error, final, 0) from error
    finally:
        _remove(temporary)


def read_pointer(link: PathLike) -> Path | None:
    """Where a pointer written by replace_symlink leads, or None when there is no pointer."""
    path = Path(link)
    if path.is_symlink():
        return path.parent / os.readlink(path)
    if path.is_file():
        return path.parent / path.read_text().strip()
    return None


def temporary_name(final: Path) -> Path:
    """A name beside ``final`` that no other writer uses; hidden, ends in ``.tmp``."""
    final = final.absolute()  # "." has no name
    return final.with_name(f".{final.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")


def sync_directory(folder: Path) -> None:
    """Make renames and new names in ``folder`` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# What stands in the way is the path or its permissions.
_NOT_WRITABLE = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.EACCES, errno.EPERM,
                 errno.EROFS, errno.EBUSY, errno.ENAMETOOLONG, errno.ELOOP)  # fmt: skip


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0


def _remove(file: Path) -> None:
    # A folder that is none, or closed to us, has been told of already.
    with suppress(OSError):
        file.unlink(missing_ok=True)


def explained(error: OSError, path: Path, written: int) -> OSError | UserError:
    """The user's side of an error of writing ``path``; unlike ones come back unchanged."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        size = f" after {written:,} bytes" if written else ""
        return UserError(
            f"the disk is full{size}",
            mend="free space or write to another disk, then run the command again",
            file=path,
        )
    if error.errno == errno.EFBIG:
        return UserError(
            "the file is larger than this process may write",
            mend="raise the limit (ulimit -f), then run the command again",
            file=path,
        )
    if error.errno in _NOT_WRITABLE:
        return UserError(
            f"cannot write ({os.strerror(error.errno)})",
            mend="check that the folder exists and that you may write there",
            file=path,
        )
    return error
