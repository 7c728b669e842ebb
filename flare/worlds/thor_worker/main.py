"""The worker process: start the simulator, serve requests, leave nothing behind."""

from __future__ import annotations

import json
import mmap
import os
import sys
import threading
import traceback
from collections import OrderedDict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import channel as ch
from .assets import AssetHook
from .channel import Channel
from .client import SIMULATOR_GONE, die_with_parent, make_controller
from .player import House, Player

_KEPT_HOUSES = 8  # parsed documents
_CLIENT_SAW_END = "Unity process has exited"


class Houses:
    """House documents in memory that the trainer filled once."""

    def __init__(self, fd: int, count: int) -> None:
        self._map = mmap.mmap(fd, 0, prot=mmap.PROT_READ)
        self._table = np.frombuffer(self._map, "<u8", 2 * count).reshape(count, 2)
        self._parsed: OrderedDict[int, House] = OrderedDict()

    def get(self, index: int) -> House:
        """Parse a house, or take the copy of a short time ago."""
        if index not in self._parsed:
            offset, size = (int(value) for value in self._table[index])
            self._parsed[index] = House(self._map[offset : offset + size])
        self._parsed.move_to_end(index)
        while len(self._parsed) > _KEPT_HOUSES:
            self._parsed.popitem(last=False)
        return self._parsed[index]


class Memories:
    """Where frames go: shared memories of the trainer, opened when first named."""

    def __init__(self, channel: Channel, trainer: int, frame_shape: tuple[int, ...]) -> None:
        self._channel, self._trainer, self._shape = channel, trainer, frame_shape
        self._bytes = int(np.prod(frame_shape))
        self._open: dict[tuple[int, int], NDArray[np.uint8]] = {}

    def frames(self, row: int, offset: int) -> NDArray[Any]:
        """[C, H, W, 3] uint8 at a place of a memory."""
        entry = self._channel.memories[row]
        key = (row, int(entry["generation"]))
        if key not in self._open:
            path = "/proc/%d/fd/%d" % (self._trainer, int(entry["fd"]))  # noqa: UP031
            fd = os.open(path, os.O_RDWR)
            mapped = mmap.mmap(fd, int(entry["size"]))
            os.close(fd)
            self._open = {k: v for k, v in self._open.items() if k[0] != row}
            self._open[key] = np.frombuffer(mapped, np.uint8)
        return self._open[key][offset : offset + self._bytes].reshape(self._shape)


class Worker:
    """One simulator behind one box."""

    def __init__(self, config: dict[str, Any]) -> None:
        self._config, self._index = config, config["index"]
        self._channel = Channel(config["channel_fd"], config["num_workers"])
        self._box = self._channel.boxes[self._index]
        self._report = ch.ReportRow(self._channel.reports[self._index : self._index + 1])
        self._houses = Houses(config["houses_fd"], config["num_houses"])
        shape = (config["num_cameras"], config["height"], config["width"], 3)
        self._memories = Memories(self._channel, config["trainer"], shape)
        self._ending = threading.Lock()

    def run(self) -> None:
        """Serve until told to close; any failure ends the process."""
        try:
            controller = make_controller(self._config, self._simulator_ended)
            self._box["simulator_pid"] = controller.unity_pid
            hook = self._config["assets"]
            player = Player(controller, AssetHook(**hook), self._config)
            keep_company(controller.unity_pid, self._config["first_number"] + self._index)
            self._box["is_started"] = 1
            self._channel.news.wake()
            while self._serve(player):
                pass
            controller.close()
        except SystemExit:
            raise
        except BaseException as error:
            self._fail(f"{type(error).__name__}: {_cause(error)}", 1)

    def _serve(self, player: Player) -> bool:
        ch.wait_request(self._channel, self._index, self._config["trainer"])
        command, action, draw, memory, offset = self._channel.read_step(self._index)
        if command == ch.LOAD:
            player.load(self._box, self._houses.get)
        elif command in (ch.STEP, ch.PRESENT):
            frames = self._memories.frames(memory, offset) if draw else None
            player.step(action if command == ch.STEP else None, self._report, frames)
        self._box["status"] = ch.OK
        self._channel.finish(self._index, is_news=command == ch.LOAD)
        return command != ch.CLOSE

    def _simulator_ended(self, pid: int) -> None:
        """From the watching thread: the client would never notice."""
        self._fail("the simulator (process %d) has ended" % pid, SIMULATOR_GONE)  # noqa: UP031

    def _fail(self, message: str, code: int) -> None:
        with self._ending:
            self._box["message"] = message.encode()[: ch.MESSAGE_BYTES]
            self._box["status"] = ch.FAILED
            sys.stderr.flush()
            os._exit(code)  # the process group's remains are the trainer's to kill


def keep_company(simulator: int, number: int) -> None:
    """Share a processor with a simulator that keeps to its client's, as flare-thor does.

    Such a one takes turns with its client; Unity's threads want all processors, and so we stay
    where the system puts us.

    Args:
        simulator: process.
        number: of this worker among those of this machine; processors are dealt out in turn.
    """
    allowed = sorted(os.sched_getaffinity(0))
    if len(os.sched_getaffinity(simulator)) == 1:
        os.sched_setaffinity(0, {allowed[number % len(allowed)]})


def _cause(error: BaseException) -> str:
    """The first failure behind an exception: the client's own says only which action it was."""
    first: BaseException = error
    while first.__cause__ or first.__context__:
        first = first.__cause__ or first.__context__ or first
    text = str(first) or type(first).__name__
    if _CLIENT_SAW_END in text:  # and says which action it was, a whole house perhaps
        return "the simulator has ended"
    if os.environ.get("FLARE_THOR_TRACE"):
        traceback.print_exception(type(error), error, error.__traceback__)
    return text[-500:]


def main() -> None:
    """Entry of the process; the configuration is the first argument."""
    config = json.loads(sys.argv[1])
    die_with_parent(config["trainer"])
    Worker(config).run()
