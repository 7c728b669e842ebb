"""The encodings of an asset's mesh file: one plain document as JSON, msgpack or pickle, gzipped.

A file may come from anywhere, so nothing in it is executed and nothing it says can make the reader
allocate much more than it holds: decompression is bounded, and a pickle is walked opcode by opcode
before it is loaded.
"""

import gzip
import io
import json
import pickle
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from flare.atomic import write_bytes
from flare.errors import UserError

# In the order in which they are looked for; the first that exists is read.
ENCODINGS = (".json", ".json.gz", ".msgpack", ".msgpack.gz", ".pkl.gz")

LARGEST_DOCUMENT = 512 * 2**20  # bytes after decompression; the largest published are about 20 MiB
_DOWNLOAD = "download or convert the asset again"


def read_document(file: Path) -> dict[str, Any]:
    """Read a mesh file; the end of its name, one of ENCODINGS, says how.

    Returns: what the file holds, of plain dicts, lists, numbers, strings and numeric arrays.
    Raises: UserError naming the file if it is missing, truncated, damaged, too large or no map.
    """
    encoding = encoding_of(file)
    data = read_bounded(file)
    try:
        document = _CODECS[encoding.removesuffix(".gz")].decode(data)
    except UserError as error:
        raise error.at(file=file) from error
    except (ValueError, RecursionError, OverflowError) as error:
        what = str(error) or type(error).__name__
        raise UserError(f"is damaged: {what[:200]}", file=file, mend=_DOWNLOAD) from error
    if not isinstance(document, dict):
        raise UserError(
            f"holds a {type(document).__name__}, not a map of keys", file=file, mend=_DOWNLOAD
        )
    return document


def write_document(file: Path, document: dict[str, Any]) -> None:
    """Write a mesh file, whole or not at all; the end of its name says how.

    The same document gives the same bytes: gzip's header carries no time.

    Raises: UserError for another ending, a missing package or a disk that refuses.
    """
    encoding = encoding_of(file)
    data = _CODECS[encoding.removesuffix(".gz")].encode(document)
    if encoding.endswith(".gz"):
        data = gzip.compress(data, 6, mtime=0)
    write_bytes(file, data)


def encoding_of(file: Path) -> str:
    """The member of ENCODINGS that a file's name ends in. Raises UserError for another one."""
    for encoding in sorted(ENCODINGS, key=len, reverse=True):
        if file.name.endswith(encoding):
            return encoding
    raise UserError(
        f"{file.name!r} is no mesh file", file=file, mend=f"end it in {', '.join(ENCODINGS)}"
    )


def read_bounded(file: Path, limit: int = LARGEST_DOCUMENT) -> bytes:
    """A file's bytes, decompressed if its name ends in .gz.

    Raises: UserError if it is missing, unreadable, damaged or larger than ``limit`` bytes.
    """
    try:
        with file.open("rb") as raw:
            stream = gzip.GzipFile(fileobj=raw) if file.name.endswith(".gz") else raw
            data = stream.read(limit + 1)
    except (gzip.BadGzipFile, EOFError, zlib.error, struct.error) as error:
        raise UserError(f"is damaged: {error}", file=file, mend=_DOWNLOAD) from error
    except OSError as error:
        raise UserError(
            f"cannot be read ({error.strerror or error})", file=file, mend="check the path"
        ) from error
    if len(data) > limit:
        raise UserError(
            f"holds more than {limit // 2**20} MiB", file=file, mend="leave this asset out"
        )
    return data


# --- JSON, msgpack ---


def _decode_json(data: bytes) -> Any:  # noqa: ANN401
    return json.loads(data)


def _encode_json(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":"), allow_nan=False).encode()


def _msgpack() -> Any:  # noqa: ANN401
    try:
        import msgpack
    except ImportError as error:
        raise UserError(
            "msgpack files need the package msgpack", mend="pip install 'flare-rl[assets]'"
        ) from error
    return msgpack


def _decode_msgpack(data: bytes) -> Any:  # noqa: ANN401
    return _msgpack().unpackb(data)


def _encode_msgpack(document: dict[str, Any]) -> bytes:
    packed: bytes = _msgpack().packb(document)
    return packed


# --- pickle ---

# Bytes of the argument behind each opcode that a document of plain values and arrays is made of.
_ARGUMENTS = dict.fromkeys(
    (
        pickle.MARK, pickle.STOP, pickle.POP, pickle.POP_MARK, pickle.NONE, pickle.NEWTRUE,
        pickle.NEWFALSE, pickle.EMPTY_DICT, pickle.EMPTY_LIST, pickle.EMPTY_TUPLE, pickle.APPEND,
        pickle.APPENDS, pickle.SETITEM, pickle.SETITEMS, pickle.DICT, pickle.LIST, pickle.TUPLE,
        pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3, pickle.MEMOIZE, pickle.STACK_GLOBAL,
        pickle.REDUCE, pickle.BUILD,
    ),
    0,
)  # fmt: skip
_ARGUMENTS |= {
    pickle.PROTO: 1, pickle.BININT1: 1, pickle.BINGET: 1, pickle.BINPUT: 1, pickle.BININT2: 2,
    pickle.BININT: 4, pickle.LONG_BINGET: 4, pickle.BINFLOAT: 8, pickle.FRAME: 8,
}  # fmt: skip
# Bytes of the little-endian length in front of those that carry text or bytes.
_LENGTHS = {
    pickle.SHORT_BINUNICODE: 1, pickle.SHORT_BINBYTES: 1, pickle.LONG1: 1, pickle.BINUNICODE: 4,
    pickle.BINBYTES: 4, pickle.BINUNICODE8: 8, pickle.BINBYTES8: 8,
}  # fmt: skip
_STEP = [-1] * 256
for _opcode, _bytes in _ARGUMENTS.items():
    _STEP[_opcode[0]] = 1 + _bytes
_LENGTH_BYTES = {opcode[0]: count for opcode, count in _LENGTHS.items()}
_GLOBAL, _LONG_BINPUT, _STOP = pickle.GLOBAL[0], pickle.LONG_BINPUT[0], pickle.STOP[0]


def _check_opcodes(data: bytes) -> None:
    """Refuse a pickle that holds anything but plain values and arrays, before it is loaded.

    Loading allocates what an opcode asks for (a slot number of four bytes alone can ask for 32
    GiB), so that a restricted ``find_class`` is not enough.
    """
    at, size = 0, len(data)
    while at < size:
        opcode = data[at]
        step = _STEP[opcode]
        if step > 0:
            at += step
            if opcode == _STOP:
                return
        elif opcode in _LENGTH_BYTES:
            count = _LENGTH_BYTES[opcode]
            at += 1 + count + int.from_bytes(data[at + 1 : at + 1 + count], "little")
        elif opcode == _GLOBAL:  # two lines, module and name
            at = data.find(b"\n", data.find(b"\n", at) + 1) + 1 or size
        elif opcode == _LONG_BINPUT and int.from_bytes(data[at + 1 : at + 5], "little") < size:
            at += 5
        else:
            raise UserError(
                f"is a pickle with the forbidden opcode {bytes([opcode])!r} at byte {at}",
                mend="convert the asset to .msgpack.gz with the tool that made it",
            )
    raise UserError("is a pickle without an end", mend=_DOWNLOAD)


class _Dtype:
    """Stands in for numpy.dtype while a pickle is loaded: numbers only."""

    def __init__(self, name: object = "", *_: object) -> None:
        try:
            self.dtype = np.dtype(str(name)) if len(str(name)) <= 3 else None
        except TypeError:
            self.dtype = None
        if self.dtype is None or self.dtype.kind not in "fiub":
            _forbid(f"an array of {name!r}")

    def __setstate__(self, state: object) -> None:
        if not (isinstance(state, tuple) and len(state) > 1 and state[1] in ("<", ">", "|", "=")):
            _forbid("an array of unknown byte order")
        assert self.dtype is not None
        self.dtype = self.dtype.newbyteorder(state[1])


class _Array:
    """Stands in for numpy.ndarray while a pickle is loaded: checks sizes before it allocates."""

    values: NDArray[Any] | None = None

    def __setstate__(self, state: object) -> None:
        if not (isinstance(state, tuple) and len(state) == 5):
            _forbid("an array of unknown form")
        _, shape, dtype, is_fortran, data = state
        if not (
            isinstance(shape, tuple)
            and len(shape) <= 2
            and all(type(n) is int and n >= 0 for n in shape)
            and isinstance(dtype, _Dtype)
            and isinstance(data, bytes)
        ):
            _forbid("an array of unknown form")
        assert dtype.dtype is not None
        count = int(np.prod([float(n) for n in shape]))
        if count * dtype.dtype.itemsize != len(data):
            _forbid("an array whose bytes do not fill its shape")
        flat = np.frombuffer(data, dtype.dtype)
        self.values = flat.reshape(shape[::-1]).T if is_fortran else flat.reshape(shape)


def _make_array(*_: object) -> _Array:
    return _Array()


def _make_scalar(dtype: object, data: object) -> float:
    if not (isinstance(dtype, _Dtype) and isinstance(data, bytes) and dtype.dtype is not None):
        _forbid("a number of unknown form")
    if len(data) != dtype.dtype.itemsize:
        _forbid("a number of the wrong length")
    number: float = np.frombuffer(data, dtype.dtype)[0].item()
    return number


def _forbid(what: str) -> NoReturn:
    raise pickle.UnpicklingError(f"a pickle with {what}")


_CORES = ("numpy.core.multiarray", "numpy._core.multiarray")
_CLASSES: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("collections", "OrderedDict"): dict,
    **{(core, "_reconstruct"): _make_array for core in _CORES},
    **{(core, "scalar"): _make_scalar for core in _CORES},
}


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str) -> Any:  # noqa: ANN401
        found = _CLASSES.get((module_name, global_name))
        if found is None:
            raise UserError(
                f"is a pickle that calls {module_name}.{global_name}",
                mend="do not trust this file; download the asset again",
            )
        return found


# What the C unpickler and the stand-ins raise for a stream that makes no sense.
_PICKLE_ERRORS = (
    pickle.UnpicklingError, EOFError, TypeError, AttributeError, KeyError, IndexError, MemoryError,
    ImportError, struct.error, ArithmeticError,
)  # fmt: skip


def _decode_pickle(data: bytes) -> Any:  # noqa: ANN401
    _check_opcodes(data)
    try:
        return _resolve(_PlainUnpickler(io.BytesIO(data)).load())
    except _PICKLE_ERRORS as error:
        raise ValueError(f"not a pickle of a mesh ({error})") from error


def _resolve(document: Any) -> Any:  # noqa: ANN401
    """Put arrays for their stand-ins: they are values of the map or of one of its colliders."""
    if not isinstance(document, dict):
        return document
    out = {key: _array_of(value) for key, value in document.items()}
    colliders = out.get("colliders")
    if isinstance(colliders, list):
        out["colliders"] = [
            {name: _array_of(value) for name, value in part.items()}
            if isinstance(part, dict)
            else part
            for part in colliders
        ]
    return out


def _array_of(value: Any) -> Any:  # noqa: ANN401
    if not isinstance(value, _Array):
        return value
    if value.values is None:
        _forbid("an array without values")
    return value.values


def _encode_pickle(document: dict[str, Any]) -> bytes:
    return pickle.dumps(document, protocol=4)


class _Codec(NamedTuple):
    decode: Callable[[bytes], Any]
    encode: Callable[[dict[str, Any]], bytes]


_CODECS = {
    ".json": _Codec(_decode_json, _encode_json),
    ".msgpack": _Codec(_decode_msgpack, _encode_msgpack),
    ".pkl": _Codec(_decode_pickle, _encode_pickle),
}
