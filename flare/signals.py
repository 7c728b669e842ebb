"""Ask a long run to stop at its next safe point."""

import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


class StopFlag:
    """Turns SIGINT, SIGTERM and SIGUSR1 (Slurm's warning) into a flag while its block runs.

    The loop looks at ``requested`` between iterations, saves, and leaves. A second Ctrl-C raises
    KeyboardInterrupt at once, for the impatient. The old handlers come back at the block's end. Use
    it in the main thread; Python delivers signals there only.
    """

    def __init__(self, signals: tuple[signal.Signals, ...] = STOP_SIGNALS) -> None:
        self._signals = signals
        self._previous: dict[signal.Signals, Any] = {}
        self._received: signal.Signals | None = None
        self._interrupts = 0

    @property
    def requested(self) -> bool:
        """Whether someone asked to stop."""
        return self._received is not None

    @property
    def reason(self) -> str | None:
        """Name of the first signal that came, such as ``SIGTERM``; None before one."""
        return None if self._received is None else self._received.name

    def request(self, reason: signal.Signals = signal.SIGTERM) -> None:
        """Set the flag without a signal (a time limit, a test)."""
        self._received = self._received or reason

    def __enter__(self) -> "StopFlag":
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("StopFlag works in the main thread only; pass the flag on instead")
        for number in self._signals:
            self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._previous.items():
            # None stands for a handler that was not installed by Python; it cannot be put back.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._previous.clear()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT:
            self._interrupts += 1
        self._received = self._received or signal.Signals(number)
        if self._interrupts > 1:
            raise KeyboardInterrupt


def send_to_self(number: signal.Signals) -> None:
    """Deliver ``number`` to this process; for tests and for stopping from inside."""
    os.kill(os.getpid(), number)
