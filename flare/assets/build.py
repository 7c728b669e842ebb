"""Conversion of a folder of assets into one pack: parallel, incremental, resumable.

Each converted asset is kept beside the unfinished pack (``x.pack.parts/``) until the pack is
written, so that an interrupted build goes on where it stopped. An asset whose source files and
settings are those of the pack that is already there is taken from it.
"""

import hashlib
import json
import shutil
import zlib
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from flare.assets.annotations import TypeNames
from flare.assets.objathor_format import METADATA_FILE, find_mesh_file, read_asset
from flare.assets.pack import Entry, PackFile, write_pack
from flare.assets.payload import SETTINGS_VERSION, ConversionConfig, Payload, convert_asset
from flare.atomic import write_bytes
from flare.errors import UserError

_CHUNK = 4  # assets that a process takes at once
_PART_FIELDS = ("size", "texture_offset", "texture_width", "texture_height", "triangles", "facts")


@dataclass(kw_only=True)
class BuildReport:
    """What became of each asset."""

    converted: int = 0
    unchanged: int = 0  # taken from the old pack or from an interrupted build
    failed: list[str] = field(default_factory=list)  # one message per asset that was left out
    missing: list[str] = field(default_factory=list)  # ids that were asked for but have no folder
    source_bytes: int = 0
    pack_bytes: int = 0


class _Result(NamedTuple):
    asset_id: str
    content_hash: int
    source_bytes: int
    is_new: bool
    error: str  # "" if it worked


def find_assets(folder: Path, wanted: Iterable[str] | None = None) -> tuple[list[Path], list[str]]:
    """Asset folders below ``folder``, by name, and the wanted ids that have none.

    Raises: UserError if the folder is missing or holds no asset at all.
    """
    if not folder.is_dir():
        raise UserError("there is no such folder", file=folder, mend="check the path")
    if wanted is None:
        found = sorted(each for each in folder.iterdir() if each.is_dir() and each.name[0] != ".")
        missing = []
    else:
        names = sorted(set(wanted))
        found = [folder / name for name in names if (folder / name).is_dir()]
        missing = [name for name in names if not (folder / name).is_dir()]
    if not found:
        raise UserError(
            "holds none of the assets",
            file=folder,
            mend="give the folder in which every asset has a folder named by its id",
        )
    return found, missing


def build_pack(
    folders: list[Path],
    out: Path,
    *,
    config: ConversionConfig,
    annotations: dict[str, dict[str, Any]] | None = None,
    num_workers: int = 1,
    progress: Callable[[BuildReport], None] | None = None,
) -> BuildReport:
    """Convert assets into a pack; those that are broken are left out and reported.

    Args:
        folders: asset folders; the pack holds these and no others.
        out: the pack, replaced as a whole.
        config: how finely assets are kept.
        annotations: asset id -> record, for the types.
        num_workers: processes; 1 converts in this one.
        progress: called after each asset.

    Raises: UserError if the disk refuses, or if not one asset could be converted.
    """
    report = BuildReport()
    parts = out.with_name(f"{out.name}.parts")
    parts.mkdir(parents=True, exist_ok=True)
    old = _old_pack(out)
    known = {} if old is None else {name: a.content_hash for name, a in old.assets.items()}
    convert = partial(_convert, config=config, parts=parts, known=known)
    results = []
    for result in _map(convert, folders, num_workers):
        _count(result, report)
        if not result.error:
            results.append(result)
        if progress is not None:
            progress(report)
    if not results:
        raise UserError(
            f"not one of {len(folders)} assets could be converted; the first: {report.failed[0]}",
            mend="check the folder with flare assets check",
        )
    report.pack_bytes = write_pack(out, _entries(results, parts, old, annotations or {}))
    if old is not None:
        old.close()
    shutil.rmtree(parts, ignore_errors=True)
    return report


def _count(result: _Result, report: BuildReport) -> None:
    report.source_bytes += result.source_bytes
    if result.error:
        report.failed.append(result.error)
    else:
        report.converted += result.is_new
        report.unchanged += not result.is_new


def _entries(
    results: list[_Result], parts: Path, old: PackFile | None, records: dict[str, dict[str, Any]]
) -> list[Entry]:
    names = TypeNames()
    return [
        Entry(
            result.asset_id,
            result.content_hash,
            names.of_record(records.get(result.asset_id, {})),
            partial(_payload, result, parts, old),
        )
        for result in results
    ]


def _map(
    convert: Callable[[Path], _Result], folders: list[Path], num_workers: int
) -> Iterable[_Result]:
    if num_workers <= 1:
        yield from map(convert, folders)
        return
    with ProcessPoolExecutor(num_workers) as pool:
        try:
            yield from pool.map(convert, folders, chunksize=_CHUNK)
        finally:  # an interrupted build does not convert what is still waiting
            pool.shutdown(wait=True, cancel_futures=True)


def _old_pack(out: Path) -> PackFile | None:
    """The pack that is there, if it is whole; a damaged one is built anew."""
    try:
        return PackFile(out)
    except UserError:
        return None


def _convert(
    folder: Path, *, config: ConversionConfig, parts: Path, known: dict[str, int]
) -> _Result:
    """Convert one asset into its part, unless it is known; runs in a worker process."""
    asset_id = folder.name
    try:
        content_hash, source_bytes = hash_sources(folder, config)
        done = _Result(asset_id, content_hash, source_bytes, False, "")
        if known.get(asset_id) == content_hash or _part(parts, done).exists():
            return done
        payload = convert_asset(read_asset(folder), config)
        _write_part(_part(parts, done), payload)
        return done._replace(is_new=True)
    except UserError as error:
        return _Result(asset_id, 0, 0, False, str(error))


def hash_sources(folder: Path, config: ConversionConfig) -> tuple[int, int]:
    """64 bits that stand for an asset's source files and the settings, and the files' bytes.

    Raises: UserError if the folder has no mesh file or a file cannot be read.
    """
    digest = hashlib.sha256(json.dumps([SETTINGS_VERSION, asdict(config)]).encode())
    files = [find_mesh_file(folder), folder / METADATA_FILE]
    files += sorted(
        each for each in folder.iterdir() if each.suffix.lower() in (".jpg", ".jpeg", ".png")
    )
    total = 0
    for file in files:
        if not file.is_file():
            continue
        try:
            data = file.read_bytes()
        except OSError as error:
            raise UserError(
                f"cannot be read ({error.strerror})", file=file, mend="check its permissions"
            ) from error
        digest.update(f"{file.name}\0{len(data)}\0".encode())
        digest.update(data)
        total += len(data)
    return int.from_bytes(digest.digest()[:8], "little"), total


def _part(parts: Path, result: _Result) -> Path:
    return parts / f"{result.asset_id}-{result.content_hash:016x}"


def _write_part(path: Path, payload: Payload) -> None:
    head = json.dumps({key: getattr(payload, key) for key in _PART_FIELDS})
    crc = zlib.crc32(payload.data)
    write_bytes(path, f"{crc}\n{head}\n".encode() + payload.data)


def _payload(result: _Result, parts: Path, old: PackFile | None) -> Payload:
    path = _part(parts, result)
    if not path.exists():
        assert old is not None
        return old.payload(result.asset_id)
    crc, head, data = path.read_bytes().split(b"\n", 2)
    if zlib.crc32(data) != int(crc):
        raise UserError("is damaged", file=path, mend="delete it and run the command again")
    fields = json.loads(head)
    fields["size"] = tuple(fields["size"])
    fields["triangles"] = tuple(fields["triangles"])
    return Payload(data=data, **fields)
