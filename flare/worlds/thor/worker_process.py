"""One worker process with its simulator, from the trainer's side: start, watch, kill."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from flare.worlds import thor_worker
from flare.worlds.thor_worker.channel import LOAD, Channel

_WORKER = Path(thor_worker.__file__).parent
# The package under a name of its own: no part of flare is imported, and none need be installed.
_BOOTSTRAP = (
    "import importlib.util as u,sys;d=sys.argv.pop(1);"
    "s=u.spec_from_file_location('thor_worker',d+'/__init__.py',submodule_search_locations=[d]);"
    "m=u.module_from_spec(s);sys.modules['thor_worker']=m;s.loader.exec_module(m);"
    "from thor_worker.main import main;main()"
)
_PAGE = os.sysconf("SC_PAGE_SIZE")


def interpreter(python: str) -> list[str]:
    """How workers' Python is started, by default ours.

    Another environment is left to itself: what PYTHONPATH and this folder hold is the trainer's.
    """
    return [python, "-I"] if python else [sys.executable]


class State(Enum):
    """What a worker is doing."""

    DOWN = "down"  # no process; one is started when its back-off is over
    STARTING = "starting"
    FREE = "free"  # nothing loaded that anybody wants
    LOADING = "loading"  # a house for an episode
    READY = "ready"  # an episode's first frame is there
    PLAYING = "playing"  # bound to an env


class WorkerProcess:
    """A slot for worker processes, one at a time; ``index`` is its box's."""

    def __init__(self, index: int, channel: Channel, log: Path) -> None:
        self.index, self.channel, self.log = index, channel, log
        self.box = channel.boxes[index]
        self.state = State.DOWN
        self.spec: bytes | None = None  # of the episode that is loading, ready or playing
        self.house = -1  # that the process holds
        self.deadline = 0.0  # of what it is doing; monotonic seconds
        self.start_after = 0.0  # back-off
        self.start_failures = 0  # in a row
        self.episodes = 0  # since its start
        self.device: int | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The worker's process number, None without one."""
        return None if self._process is None else self._process.pid

    @property
    def simulator_pid(self) -> int:
        """The simulator's, 0 before it has started."""
        return int(self.box["simulator_pid"])

    @property
    def is_busy(self) -> bool:
        """Whether a request is not served yet."""
        return self.channel.is_busy(self.index)

    def start(self, python: str, config: Mapping[str, Any], fds: tuple[int, ...]) -> None:
        """Start a process in a group and session of its own."""
        self.channel.served[self.index].set(self.channel.requested[self.index].get())
        self.box["is_started"] = self.box["status"] = self.box["simulator_pid"] = 0
        self.box["message"] = b""
        arguments = json.dumps({**config, "index": self.index})
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*interpreter(python), "-c", _BOOTSTRAP, str(_WORKER), arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=fds,
                start_new_session=True,
            )
        self.state, self.episodes, self.house, self.spec = State.STARTING, 0, -1, None

    def request_load(self) -> None:
        """Send a load, which the box describes."""
        self.box["command"], self.box["status"] = LOAD, 0
        self.channel.request(self.index)

    def request_step(self, command: int, action: int, draw: bool, memory: int, offset: int) -> None:
        """Send a step or a look.

        Args:
            command: STEP or PRESENT.
            action: of the core.
            draw: whether frames are wanted.
            memory: row of the memory that they go to.
            offset: bytes into it.
        """
        self.channel.write_step(self.index, command, action, draw, memory, offset)
        self.channel.request(self.index)

    def wait(self, timeout: float) -> None:
        """Sleep until the request is served, at most ``timeout`` seconds; may return early."""
        requested = self.channel.requested[self.index].get()
        self.channel.served[self.index].wait(requested - 1 & 0xFFFFFFFF, timeout)

    def end(self) -> int | None:
        """Exit code of a process that has ended, None while it lives or without one."""
        return None if self._process is None else self._process.poll()

    def message(self) -> str:
        """What it said of its failure."""
        return bytes(self.box["message"]).decode(errors="replace")

    def kill(self) -> None:
        """End the process and all it started; returns when they are gone."""
        process, self._process = self._process, None
        self.state, self.spec, self.house = State.DOWN, None, -1
        if process is None:
            return
        simulator = self.simulator_pid
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        end = time.monotonic() + 5.0
        while simulator and is_alive(simulator) and time.monotonic() < end:
            time.sleep(0.005)

    def resident_bytes(self) -> int:
        """Memory of the worker and its simulator."""
        return sum(_resident(pid) for pid in (self.pid, self.simulator_pid) if pid)


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not waited for does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def _resident(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/statm").read_text(encoding="ascii")
    except OSError:
        return 0
    return int(text.split()[1]) * _PAGE
