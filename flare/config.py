"""Frozen dataclass trees to JSON and back, strictly: each mistake names file, key and mend."""

import dataclasses
import difflib
import json
import math
import types
import typing
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from flare.atomic import PathLike, write_json
from flare.errors import UserError

ConfigT = TypeVar("ConfigT")


def to_dict(config: object) -> dict[str, Any]:
    """The JSON object of a dataclass: nested objects, lists for tuples, text for paths and enums.

    Infinite and NaN floats become text, as JSON has no such numbers; from_dict reads them back.
    """
    if not dataclasses.is_dataclass(config) or isinstance(config, type):
        raise TypeError(f"expected an instance of a dataclass, got {config!r}")
    return {
        field.name: _encode(getattr(config, field.name))
        for field in dataclasses.fields(config)
        if field.init
    }


def from_dict(
    data: Mapping[str, Any], cls: type[ConfigT], *, file: PathLike | None = None
) -> ConfigT:
    """Build ``cls`` from a JSON object; absent fields take their defaults.

    Raises:
        UserError: an unknown field, a wrong type, a missing field without a default, or a value
            that ``__post_init__`` rejects (with ValueError or UserError).
    """
    try:
        return typing.cast(ConfigT, _decode_dataclass(data, cls, ""))
    except UserError as error:
        raise error.at(file=file) from error


def save_config(config: object, path: PathLike) -> None:
    """Write the resolved configuration to ``path`` atomically; load_config accepts it back."""
    write_json(path, to_dict(config))


def load_config(path: PathLike, cls: type[ConfigT]) -> ConfigT:
    """Read a file written by save_config, or by hand.

    Raises:
        UserError: no such file, not JSON, or anything from_dict rejects.
    """
    return from_dict(read_json_object(path), cls, file=path)


def read_json_object(path: PathLike) -> dict[str, Any]:
    """The JSON object in ``path``.

    Raises:
        UserError: no such file, not UTF-8 JSON, or not an object.
    """
    try:
        text = Path(path).read_bytes()
    except FileNotFoundError as error:
        raise UserError("no such file", mend="check the path", file=path) from error
    except OSError as error:
        raise UserError(
            f"cannot read ({error.strerror})", mend="check the path and its permissions", file=path
        ) from error
    return parse_json_object(text, mend="correct it, or write the file anew", file=path)


def parse_json_object(
    text: str | bytes, *, mend: str, file: PathLike | None = None, key: str | None = None
) -> dict[str, Any]:
    """The JSON object that ``text`` is; the rest goes into the error.

    Raises:
        UserError: not UTF-8 JSON, nested beyond reason, or not an object.
    """
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        line = f"line {error.lineno}, " if key is None else ""  # a line of JSON lines is the key
        what = f"not JSON: {error.msg} at {line}column {error.colno}"
        raise UserError(what, mend=mend, file=file, key=key) from error
    except UnicodeDecodeError as error:
        raise UserError("not UTF-8 text", mend=mend, file=file, key=key) from error
    except RecursionError as error:
        raise UserError("nested too deeply", mend=mend, file=file, key=key) from error
    if not isinstance(value, dict):
        what = f"holds {_kind(value)} instead of a JSON object"
        raise UserError(what, mend=mend, file=file, key=key)
    return value


def flatten(data: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted keys of a nested JSON object; empty objects are kept as values."""
    flat: dict[str, Any] = {}
    for name, value in data.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping) and value:
            flat.update(flatten(value, f"{key}."))
        else:
            flat[key] = value
    return flat


def differences(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    """``key: ours, theirs`` for each dotted key whose value differs, sorted by key."""
    a, b = flatten(ours), flatten(theirs)
    absent = "absent"
    return [
        f"{key}: {_show(a[key]) if key in a else absent}, {_show(b[key]) if key in b else absent}"
        for key in sorted(a.keys() | b.keys())
        if key not in a or key not in b or a[key] != b[key]
    ]


def resolved(config: object) -> str:
    """The whole configuration for the eye: one ``key = value`` line a field, aligned."""
    flat = flatten(to_dict(config))
    width = max((len(key) for key in flat), default=0)
    return "\n".join(f"{key:<{width}} = {_show(value)}" for key, value in flat.items())


def _show(value: object) -> str:
    return json.dumps(value)


def _encode(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return to_dict(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, (list, tuple)):
        return [_encode(item) for item in value]
    if isinstance(value, Mapping):
        return {str(name): _encode(item) for name, item in value.items()}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"a configuration cannot hold {type(value).__name__}")


def _decode_dataclass(data: Any, cls: type[Any], prefix: str) -> Any:
    if not isinstance(data, Mapping):
        raise _wrong_type(data, "an object", prefix)
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}
    for name in data:
        if name not in fields:
            raise _unknown_field(name, list(fields), prefix)
    hints = typing.get_type_hints(cls)
    values: dict[str, Any] = {}
    for name, field in fields.items():
        if name in data:
            values[name] = _decode(data[name], hints[name], _join(prefix, name))
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise UserError("missing", mend="add this field", key=_join(prefix, name))
    try:
        return cls(**values)
    except UserError as error:
        raise error.at(prefix=prefix) from error
    except ValueError as error:
        raise UserError(
            str(error), mend="choose a value in range", key=prefix or cls.__name__
        ) from error


def _decode(value: Any, hint: Any, key: str) -> Any:
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _decode_union(value, args, key)
    if origin is Literal:
        return _decode_choice(value, list(args), key)
    if origin in (tuple, list):
        return _decode_sequence(value, origin, args, key)
    if origin is dict:
        if not isinstance(value, Mapping):
            raise _wrong_type(value, "an object", key)
        return {name: _decode(item, args[1], _join(key, name)) for name, item in value.items()}
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return _decode_dataclass(value, hint, key)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint(_decode_choice(value, [member.value for member in hint], key))
    return _decode_scalar(value, hint, key)


def _decode_scalar(value: Any, hint: Any, key: str) -> Any:
    if hint is float:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return float(value)
        if value in ("inf", "-inf", "nan"):
            return float(value)
        raise _wrong_type(value, "a number", key)
    if hint is int:
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        raise _wrong_type(value, "an integer", key)
    names = {bool: "true or false", str: "text", type(None): "null"}
    if hint in names:
        if isinstance(value, hint):
            return value
        raise _wrong_type(value, names[hint], key)
    if hint is Path:
        if isinstance(value, str):
            return Path(value)
        raise _wrong_type(value, "a path as text", key)
    raise TypeError(f"{key}: configurations do not support fields of type {hint!r}")


def _decode_union(value: Any, options: tuple[Any, ...], key: str) -> Any:
    if value is None and type(None) in options:
        return None
    problems: list[UserError] = []
    for option in sorted(options, key=lambda option: -_shared_fields(value, option)):
        if option is type(None):
            continue
        try:
            return _decode(value, option, key)
        except UserError as error:
            problems.append(error)
    raise problems[0]


def _shared_fields(value: Any, option: Any) -> int:
    """Fields of a dataclass that the object names: which of several it is meant to be."""
    if not isinstance(value, Mapping) or not dataclasses.is_dataclass(option):
        return 0
    return len({field.name for field in dataclasses.fields(option)} & value.keys())


def _decode_choice(value: Any, choices: list[Any], key: str) -> Any:
    # Compare types as well: True == 1 in Python, and a flag is not a count.
    if any(value == choice and type(value) is type(choice) for choice in choices):
        return value
    listed = ", ".join(_show(choice) for choice in choices)
    raise UserError(f"{_show(value)} is not a choice", mend=f"choose one of {listed}", key=key)


def _decode_sequence(value: Any, kind: type, args: tuple[Any, ...], key: str) -> Any:
    if not isinstance(value, (list, tuple)):
        raise _wrong_type(value, "a list", key)
    if kind is list or (len(args) == 2 and args[1] is Ellipsis):
        hints = [args[0]] * len(value)
    else:
        hints = list(args)
        if len(value) != len(hints):
            raise UserError(
                f"{len(value)} values where {len(hints)} belong",
                mend=f"give {len(hints)} values",
                key=key,
            )
    decoded = [
        _decode(item, hint, f"{key}[{index}]")
        for index, (item, hint) in enumerate(zip(value, hints, strict=True))
    ]
    return tuple(decoded) if kind is tuple else decoded


def _unknown_field(name: str, valid: list[str], prefix: str) -> UserError:
    near = difflib.get_close_matches(name, valid, n=3, cutoff=0.5)
    if near:
        mend = f"did you mean {' or '.join(near)}?"
    else:
        mend = f"remove it; the fields here are {', '.join(valid)}"
    return UserError("unknown field", mend=mend, key=_join(prefix, name))


def _wrong_type(value: Any, wanted: str, key: str) -> UserError:
    return UserError(
        f"{_kind(value)} where {wanted} belongs", mend=f"give {wanted}", key=key or None
    )


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, (list, tuple)):
        return "a list"
    return _show(value)


def _join(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name
