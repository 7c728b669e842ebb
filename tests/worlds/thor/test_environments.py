"""Workers in an environment of their own, where the trainer's packages are not, and the reverse."""

import importlib.metadata
import re
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pytest

from tests.worlds.thor.made_worlds import Seat, thor_worlds

pytest.importorskip("ai2thor")


def names_needed_by(name: str) -> set[str]:
    """A distribution and what it asks for without extras, all the way down."""
    found, todo = set(), [name]
    while todo:
        distribution = importlib.metadata.distribution(todo.pop())
        if (own := distribution.metadata["Name"]) in found:
            continue
        found.add(own)
        for wanted in distribution.requires or []:
            text, _, marker = wanted.partition(";")
            if "extra" in marker:
                continue
            bare = re.split(r"[\s\[<>=!~(]", text.strip(), maxsplit=1)[0]
            try:
                importlib.metadata.distribution(bare)
            except importlib.metadata.PackageNotFoundError:  # of another Python or system
                continue
            todo.append(bare)
    return found


@pytest.fixture(scope="module")
def other_python(tmp_path_factory) -> Path:
    """An interpreter whose environment holds ai2thor with what it needs, by links, and no more."""
    folder = tmp_path_factory.mktemp("environment")
    venv.EnvBuilder(symlinks=True).create(folder)
    site = next(folder.glob("lib/python*/site-packages"))
    for name in names_needed_by("ai2thor"):
        distribution = importlib.metadata.distribution(name)
        for top in {Path(str(file)).parts[0] for file in distribution.files or []} - {".."}:
            place = Path(str(distribution.locate_file(top)))
            if place.exists() and top != "__pycache__" and not (site / top).exists():
                (site / top).symlink_to(place)
    return folder / "bin" / "python"


def imports(python: Path, module: str) -> bool:
    command = [python, "-I", "-c", f"import {module}"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_a_worker_needs_no_part_of_the_trainers_environment(other_python, tmp_path, monkeypatch):
    """Its Python has neither flare nor torch, the trainer's no ai2thor: the bytes are the same."""
    assert imports(other_python, "ai2thor.controller") and imports(other_python, "numpy")
    assert not imports(other_python, "flare") and not imports(other_python, "torch")
    seats = []
    for python in ("", str(other_python)):
        with thor_worlds(tmp_path, python=python) as worlds:
            seat = Seat(worlds)
            for name in ("move_ahead", "rotate_right", "move_arm_up", "pickup"):
                assert seat.step(name) == [False, False]
            running = worlds.pool.workers[0].pid
            command = Path(f"/proc/{running}/cmdline").read_bytes().split(b"\0")[0].decode()
            assert command == (python or sys.executable)
        seats.append(seat)
        monkeypatch.setitem(sys.modules, "ai2thor", None)  # from here on nobody here can import it
    with pytest.raises(ImportError):
        import ai2thor  # noqa: F401
    assert np.array_equal(seats[0].frames, seats[1].frames)
    assert seats[0].facts.tobytes() == seats[1].facts.tobytes()


def test_what_the_trainers_shell_says_does_not_reach_another_environment(
    other_python, tmp_path, monkeypatch
):
    """A PYTHONPATH for the trainer would bring its packages into an environment that clashes."""
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "msgpack.py").write_text("raise ImportError('not for workers')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "path"))
    monkeypatch.chdir(tmp_path / "path")
    with thor_worlds(tmp_path, 1, python=str(other_python)) as worlds:
        assert Seat(worlds).step() == [False]
