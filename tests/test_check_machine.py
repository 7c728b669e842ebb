"""What make says on a machine that lacks something, before it downloads anything."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "check_machine.sh"


@pytest.fixture
def machine(tmp_path):
    """A PATH of its own with the tests' Python and the compiler; returns its folder."""
    programs = {"python3": sys.executable, "c++": shutil.which("c++") or shutil.which("g++")}
    for name, target in programs.items():
        assert target is not None
        write_program(tmp_path / name, f'exec "{target}" "$@"')
    return tmp_path


def write_program(path, line):
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)


def check(machine, *arguments, **environment):
    # The compiler finds its assembler by itself; sh is named by its path.
    done = subprocess.run(
        ["/bin/sh", SCRIPT, *arguments], env={"PATH": str(machine), **environment},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stdout == ""
    return done.returncode, done.stderr


def refuses(answer, what, mend):
    code, error = answer
    assert code == 2
    assert error.startswith("error: ") and error.count("\n") == 1
    assert what in error and f". Mend: {mend}" in error


def python_without(machine, word):
    """A Python whose one-liner with this word fails, as it does where a package is missing."""
    write_program(
        machine / "python3",
        f'case "$*" in *{word}*) exit 1 ;; esac\nexec "{sys.executable}" "$@"',
    )


def test_a_machine_with_everything_is_silent(machine):
    assert check(machine) == (0, "")
    assert check(machine, sys.executable) == (0, "")


def test_no_python(machine):
    (machine / "python3").unlink()
    refuses(check(machine), "there is no python3", "install Python 3.10 to 3.12")
    refuses(check(machine, "python3.12"), "there is no python3.12", "install Python")


@pytest.mark.parametrize("version", ["2.7", "3.9", "3.13"])
def test_python_of_another_version(machine, version):
    write_program(machine / "python3", f"echo {version}")
    refuses(check(machine), f"python3 is {version}", "make PYTHON=")


def test_parts_of_python_that_debian_packs_apart(machine):
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    python_without(machine, "ensurepip")
    refuses(check(machine), "virtual environments", f"apt-get install python{version}-venv")
    python_without(machine, "Python.h")
    refuses(check(machine), "Python.h", f"apt-get install python{version}-dev")


def test_no_compiler_and_one_that_is_too_old(machine):
    refuses(check(machine, CXX="false"), "false does not compile", "install g++ 11")
    refuses(check(machine, CXX="g++-1 -m64"), "no C++ compiler g++-1 -m64", "apt-get install g++")
    (machine / "c++").unlink()
    refuses(check(machine), "there is no C++ compiler", "apt-get install g++")
    os.symlink(shutil.which("g++") or "/usr/bin/g++", machine / "g++")
    assert check(machine) == (0, "")
