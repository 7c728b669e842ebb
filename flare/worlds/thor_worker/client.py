"""AI2-THOR's real client, started so that neither it nor its simulator can be left behind."""

from __future__ import annotations

import ctypes
import os
import select
import shlex
import signal
import sys
import threading
import time
from typing import Any

import ai2thor.controller
import ai2thor.platform

_PR_SET_PDEATHSIG = 1
SIMULATOR_GONE = 70  # exit code of a worker whose simulator ended

# Runs between fork and the simulator: it dies with the worker, whatever it is. argv: worker's pid.
_LAUNCHER = (
    "import ctypes,os,sys;ctypes.CDLL(None).prctl(1,9,0,0,0);"
    "os.getppid()==int(sys.argv[1]) or os._exit(1);os.execv(sys.argv[2],sys.argv[2:])"
)


def die_with_parent(parent: int) -> None:
    """Let the kernel kill this process when its parent ends, however that ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        raise SystemExit(0)


class Controller(ai2thor.controller.Controller):  # type: ignore[misc]
    """The client with its process watched and bound to this one."""

    def __init__(
        self, on_simulator_end: Any, device: int | None, base_dir: str, **arguments: Any
    ) -> None:
        self._device, self._base_dir = device, base_dir
        self._on_simulator_end = on_simulator_end
        self._is_closing = self._has_started = False
        threading.Thread(target=self._watch, daemon=True).start()
        super().__init__(**arguments)

    @property
    def base_dir(self) -> str:
        """Where releases, locks and logs lie."""
        return self._base_dir or super().base_dir

    def unity_command(self, width: int, height: int, headless: bool) -> list[str]:
        """The simulator's command line, behind a launcher; with the device's Vulkan index."""
        self.gpu_device = None  # the map from CUDA to Vulkan was resolved before
        command = super().unity_command(width, height, headless)
        if self._device is not None:
            command += ["-force-device-index", str(self._device)]
        return [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(os.getpid()), *command]

    def start(self, *args: Any, **kwargs: Any) -> None:
        """Start the simulator, once: the client would put another in place of one that crashed."""
        if self._has_started:
            raise RuntimeError("the simulator crashed")
        self._has_started = True
        super().start(*args, **kwargs)

    def close(self) -> None:
        """Stop the simulator without being told of its end."""
        self._is_closing = True
        self.stop()

    def _watch(self) -> None:
        """Wait for the simulator's end. The client itself would wait for a reply for ever."""
        process = None
        while process is None:
            process = getattr(getattr(self, "server", None), "unity_proc", None)
            time.sleep(0.02)
        try:
            descriptor = os.pidfd_open(process.pid)
            select.select([descriptor], [], [])
        except (AttributeError, OSError):
            while process.poll() is None:
                time.sleep(0.02)
        time.sleep(0.1)  # the client kills it after nonsense; what that was is the better reason
        if not self._is_closing:
            self._on_simulator_end(process.pid)


def find_platform(name: str) -> Any:
    """A platform of the client; one of another name has no checks of displays or drivers."""
    known = getattr(ai2thor.platform, name, None)
    return known or type(name, (ai2thor.platform.BaseLinuxPlatform,), {})


def make_controller(config: dict[str, Any], on_simulator_end: Any) -> Controller:
    """Start a simulator as the configuration says; blocks until it answers."""
    arguments = dict(config["controller"])
    executable = config["executable"]
    if executable:
        words = [shlex.quote(word) for word in [executable, *config["executable_arguments"]]]
        arguments["local_executable_path"] = " ".join(words)
    else:
        arguments["commit_id"] = config["commit_id"]
        arguments["platform"] = find_platform(config["platform"])
    return Controller(on_simulator_end, config["device"], config["base_dir"], **arguments)
