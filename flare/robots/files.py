"""Robot files: YAML, one robot each, shipped with the package or anyone's own."""

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from flare.config import from_dict
from flare.errors import UserError
from flare.robots.spec import RobotSpec

if TYPE_CHECKING:  # its place since 3.11, importlib.resources.abc, is unknown to 3.10
    from importlib.abc import Traversable

_SUFFIX = ".yaml"


def robot_names() -> tuple[str, ...]:
    """The robots that ship with the package, sorted."""
    files = resources.files(__package__).iterdir()
    return tuple(sorted(f.name.removesuffix(_SUFFIX) for f in files if f.name.endswith(_SUFFIX)))


def load_robot(name_or_path: str | Path) -> RobotSpec:
    """Read a robot by the name of one that ships with the package, or from a YAML file.

    Raises:
        UserError: no such robot or file, not YAML, or a field that is missing, unknown or out of
            its range; names file, key and mend.
    """
    name = str(name_or_path)
    if name in robot_names():
        return _read(resources.files(__package__).joinpath(name + _SUFFIX), name + _SUFFIX)
    path = Path(name_or_path)
    if path.suffix not in (_SUFFIX, ".yml"):
        raise UserError(
            f"no robot is called {name!r}",
            key="robot",
            mend=f"use one of {', '.join(robot_names())}, or the path of a {_SUFFIX} file",
        )
    return _read(path, name)


def _read(file: "Path | Traversable", source: str) -> RobotSpec:
    try:
        data: Any = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(
            f"cannot read ({error.strerror})",
            mend="check the path and its permissions",
            file=source,
        ) from error
    except UnicodeDecodeError as error:
        raise UserError("not a text file", mend="give a YAML file", file=source) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "unreadable"
        raise UserError(
            f"not YAML: {problem}{where}", mend="correct that line", file=source
        ) from error
    if not isinstance(data, dict):
        raise UserError(
            "holds no mapping", mend="write `key: value` lines, as in stretch.yaml", file=source
        )
    return from_dict(data, RobotSpec, file=source)
