"""What every refusal has in common: one line with a mend, code 2, nothing left behind."""

import contextlib
import ctypes
import random
import re
from pathlib import Path

from flare import cli

GARBAGE = random.Random(0).randbytes(3000)
SMALL = ("--world.num-envs", "2")
TYPES = ("--task.sampler.target-types", "Bed", "Sofa", "Toilet")


def files(folder):
    """All that is no folder: a refused run leaves at most the folder of runs."""
    return sorted(str(path) for path in folder.rglob("*") if not path.is_dir())


def refused(line, capsys, *, named=""):
    """Run a command that must end in one line of error, leaving no file."""
    before = files(Path())
    assert cli.main(line.split() if isinstance(line, str) else line) == 2
    error = capsys.readouterr().err
    # The core ends its messages with "; mend".
    assert re.fullmatch(r"error: [^\n]+(\. Mend: [^\n]+[.?!]|; [^\n]+)\n", error), error
    assert len(error) < 700
    assert named in error
    assert files(Path()) == before
    return error


class _CapHeader(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _CapData(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint32) for name in ("effective", "permitted", "inheritable")]


@contextlib.contextmanager
def permissions_count():
    """Root reads and writes what it may not; without CAP_DAC_* it is a user like any other."""
    libc = ctypes.CDLL(None, use_errno=True)
    header, data = _CapHeader(0x20080522, 0), (_CapData * 2)()
    assert libc.capget(ctypes.byref(header), data) == 0
    before = data[0].effective
    data[0].effective = before & ~0b110  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    assert libc.capset(ctypes.byref(header), data) == 0
    try:
        yield
    finally:
        data[0].effective = before
        assert libc.capset(ctypes.byref(header), data) == 0
