"""The asset pack as a file: writing it, reading its table and single payloads.

The layout is that of csrc/render/asset_mesh.hpp, whose reader draws from it. Beside ``x.pack`` lies
``x.pack.json``, the table of what else is known: type, size, mass, what can be done with a thing.
"""

import json
import struct
import zlib
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from flare.assets.payload import Payload
from flare.atomic import atomic_write, write_text
from flare.errors import UserError

_MAGIC = b"FLAREPK\0"
_VERSION = 1
_HEADER = struct.Struct("<8sIIQQQII")
_ASSET = struct.Struct("<QQQQII3fIIIII")
_ALIGNMENT = 64
_REBUILD = "build it again with flare assets build"


class Entry(NamedTuple):
    """An asset to be written: its payload is fetched when its turn comes."""

    asset_id: str
    content_hash: int
    type: str  # of the asset library, "" if unknown
    payload: Callable[[], Payload]


class PackAsset(NamedTuple):
    """What the pack's own table says of an asset."""

    payload_offset: int
    payload_size: int
    texture_offset: int
    content_hash: int
    size: tuple[float, float, float]  # m
    num_lods: int
    texture_width: int
    texture_height: int
    payload_crc: int


def table_path(pack: Path) -> Path:
    """The table that lies beside a pack."""
    return pack.with_name(f"{pack.name}.json")


def write_pack(path: Path, entries: Iterable[Entry]) -> int:
    """Write a pack and the table beside it; each file appears whole or not at all.

    Args:
        path: the pack; its folder is made where it is missing.
        entries: each id once, in any order.

    Returns: bytes of the pack.
    Raises: UserError if the disk refuses.
    """
    ordered = sorted(entries, key=lambda entry: entry.asset_id.encode())
    names = b"".join(entry.asset_id.encode() for entry in ordered)
    names_offset = _HEADER.size + _ASSET.size * len(ordered)
    table: dict[str, Any] = {}
    rows: list[bytes] = []
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        file.write(bytes(names_offset) + names)
        name_at = 0
        for entry in ordered:
            payload = entry.payload()
            _pad(file)
            name_size = len(entry.asset_id.encode())
            rows.append(_row(entry.content_hash, payload, file.tell(), name_at, name_size))
            name_at += name_size
            file.write(payload.data)
            table[entry.asset_id] = _facts(entry, payload)
        size = file.tell()
        packed = b"".join(rows)
        crc = zlib.crc32(names, zlib.crc32(packed))
        file.seek(0)
        file.write(
            _HEADER.pack(_MAGIC, _VERSION, len(ordered), size, names_offset, len(names), crc, 0)
            + packed
        )
        file.seek(size)
    lines = ",\n".join(
        f"{json.dumps(name)}:{json.dumps(facts, separators=(',', ':'))}"
        for name, facts in table.items()
    )
    write_text(table_path(path), f'{{"table_crc":{crc},"assets":{{\n{lines}\n}}}}\n')
    return size


def _facts(entry: Entry, payload: Payload) -> dict[str, Any]:
    return {
        "type": entry.type,
        "size": [round(side, 6) for side in payload.size],
        **payload.facts,
        "triangles": list(payload.triangles),
    }


def _row(content_hash: int, payload: Payload, at: int, name_at: int, name_size: int) -> bytes:
    return _ASSET.pack(
        at,
        len(payload.data),
        payload.texture_offset,
        content_hash,
        name_at,
        name_size,
        *payload.size,
        len(payload.triangles),
        payload.texture_width,
        payload.texture_height,
        zlib.crc32(payload.data),
        0,
    )


def _pad(file: BinaryIO) -> None:
    file.write(bytes(-file.tell() % _ALIGNMENT))


class PackFile:
    """A pack opened for reading its table and payloads from Python; checks what it reads."""

    def __init__(self, path: Path) -> None:
        """Read header, names and table, and the table beside the pack.

        Raises: UserError naming the file if it is missing, damaged or does not fit its table.
        """
        self.path = path
        with ExitStack() as opened:
            try:
                self._file = opened.enter_context(path.open("rb"))
                self._size = path.stat().st_size
            except OSError as error:
                raise UserError(
                    f"cannot be read ({error.strerror})", file=path, mend="check the path"
                ) from error
            self.assets, self._crc = self._read_table()
            self.facts = self._read_facts()
            self._opened = opened.pop_all()

    def _read_table(self) -> tuple[dict[str, PackAsset], int]:
        head = self._file.read(_HEADER.size)
        if len(head) < _HEADER.size or head[:8] != _MAGIC:
            raise UserError("is no asset pack", file=self.path, mend=_REBUILD)
        _, version, count, size, names_offset, names_size, crc, _ = _HEADER.unpack(head)
        if version != _VERSION or size != self._size:
            raise UserError(
                f"is damaged or of another version ({version})", file=self.path, mend=_REBUILD
            )
        rows = self._file.read(min(_ASSET.size * count, size))
        self._file.seek(min(names_offset, size))
        names = self._file.read(min(names_size, size))
        if len(rows) != _ASSET.size * count or zlib.crc32(names, zlib.crc32(rows)) != crc:
            raise UserError("has a damaged table of assets", file=self.path, mend=_REBUILD)
        out = {}
        for row in _ASSET.iter_unpack(rows):
            at, length, texture, content, name_at, name_size, x, y, z, lods, w, h, check, _ = row
            name = names[name_at : name_at + name_size].decode()
            out[name] = PackAsset(at, length, texture, content, (x, y, z), lods, w, h, check)
        return out, crc

    def _read_facts(self) -> dict[str, dict[str, Any]]:
        file = table_path(self.path)
        try:
            document = json.loads(file.read_bytes())
            facts = document["assets"]
            fits = document["table_crc"] == self._crc and facts.keys() == self.assets.keys()
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(
                f"is missing or damaged ({type(error).__name__})", file=file, mend=_REBUILD
            ) from error
        if not fits:
            raise UserError(f"does not belong to this {self.path.name}", file=file, mend=_REBUILD)
        table: dict[str, dict[str, Any]] = facts
        return table

    def payload(self, asset_id: str) -> Payload:
        """An asset's payload as it was converted. Raises UserError if it is damaged."""
        asset = self.assets[asset_id]
        self._file.seek(asset.payload_offset)
        data = self._file.read(min(asset.payload_size, self._size))
        if zlib.crc32(data) != asset.payload_crc:
            raise UserError(
                "its data is damaged", file=self.path, key=f"asset '{asset_id}'", mend=_REBUILD
            )
        facts = dict(self.facts[asset_id])
        return Payload(
            data=data,
            size=asset.size,
            texture_offset=asset.texture_offset,
            texture_width=asset.texture_width,
            texture_height=asset.texture_height,
            triangles=tuple(facts.pop("triangles")),
            facts={key: value for key, value in facts.items() if key not in ("type", "size")},
        )

    def close(self) -> None:
        """Close the file."""
        self._opened.close()

    def __enter__(self) -> "PackFile":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
