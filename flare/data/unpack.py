"""Unpacks a downloaded archive into a folder that appears whole or not at all."""

import gzip
import shutil
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from flare.atomic import explained, make_directory, replace_directory, temporary_name
from flare.errors import UserError


def unpack(
    archive: Path,
    folder: Path,
    *,
    on_bytes: Callable[[int], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> bool:
    """Make a folder of what lies below the one top folder of an archive; then remove the archive.

    Only plain files and folders are taken. A damaged archive is removed, so that the next
    download brings it anew.

    Args:
        archive: a .tar or .tar.gz file.
        folder: must not exist.
        on_bytes: called with how far the archive was read.
        should_stop: True ends it without a trace.

    Returns: whether it came to its end.
    Raises: UserError for a damaged archive, a path that leaves the folder, or a disk that refuses.
    """
    if folder.exists():
        raise UserError("exists already", file=folder, mend="move it away first")
    temporary = temporary_name(folder)
    try:
        make_directory(temporary)
        if not _extract(archive, temporary, on_bytes, should_stop):
            return False
        replace_directory(temporary, folder)
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error) as error:
        archive.unlink(missing_ok=True)
        raise UserError(
            f"is damaged ({error}) and was thrown away", file=archive, mend="download it again"
        ) from error
    except OSError as error:
        raise explained(error, folder, 0) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    archive.unlink()
    return True


def _extract(
    archive: Path, folder: Path, on_bytes: Callable[[int], None], should_stop: Callable[[], bool]
) -> bool:
    with archive.open("rb") as raw, tarfile.open(fileobj=raw, mode="r:*") as tar:
        for member in tar:
            if should_stop():
                return False
            place = _place(member, folder, archive)
            if place is None:
                continue
            if member.isdir():
                place.mkdir(parents=True, exist_ok=True)
                continue
            place.parent.mkdir(parents=True, exist_ok=True)
            content = tar.extractfile(member)
            assert content is not None  # of a plain file
            with content, place.open("xb") as out:
                shutil.copyfileobj(content, out, 2**20)
            on_bytes(raw.tell())
        assert tar.fileobj is not None
        while tar.fileobj.read(2**20):  # to the end, where a compressed archive has its checksum
            pass
    return True


def _place(member: tarfile.TarInfo, folder: Path, archive: Path) -> Path | None:
    """Where a member goes; None for the top folder itself and for what is no file or folder."""
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts:
        raise UserError(
            f"holds {member.name!r}, which leads out of it",
            file=archive,
            mend="do not trust this archive",
        )
    parts = path.parts[1:] if path.parts[:1] != (".",) else path.parts[2:]
    if not parts or not (member.isfile() or member.isdir()):
        return None
    return folder.joinpath(*parts)
