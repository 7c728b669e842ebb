"""What a long command shows while it works: a live view in a terminal, plain lines elsewhere."""

import math
import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import TextIO

from rich.console import Console as RichConsole
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

REFRESHES_PER_SECOND = 4.0
PLAIN_INTERVAL = 5.0  # s between the plain lines of a stage


class Console:
    """One command's view: finished stages, the stage at work, the last message.

    In a terminal it redraws a few lines in place; otherwise it prints a line every few seconds, so
    that a log file stays readable. Usage::

        with Console("demo") as console:
            with console.stage("finetune", total=300_000, unit="steps") as stage:
                stage.update(advance=4096, success=(0.41, 0.35, 0.47), sps=2100.0, split=split)

    Not thread-safe; stages follow one another and do not nest.
    """

    def __init__(
        self,
        title: str,
        *,
        file: TextIO | None = None,
        live: bool | None = None,
        plain_interval: float = PLAIN_INTERVAL,
    ) -> None:
        """Choose the view.

        Args:
            title: heads the view.
            file: where to write; standard output by default.
            live: redraw in place; None asks whether ``file`` is a terminal.
            plain_interval: seconds between plain lines of one stage.
        """
        self._rich = RichConsole(
            file=file or sys.stdout, force_terminal=live, highlight=False, soft_wrap=not live
        )
        self.is_live = self._rich.is_terminal if live is None else live
        self.title = title
        self.plain_interval = plain_interval
        self._finished: list[Stage] = []
        self._current: Stage | None = None
        self._message = ""
        self._live: Live | None = None

    def stage(self, name: str, *, total: float | None = None, unit: str = "") -> "Stage":
        """Begin a stage; use it as a context manager. ``total`` None: the end is not known."""
        return Stage(self, name, total, unit)

    def message(self, text: str) -> None:
        """Say something once: the live view keeps it as its last line, a log as a line."""
        self._message = text
        if self.is_live:
            self.refresh()
        else:
            self._print(text)

    def refresh(self) -> None:
        """Redraw the live view now."""
        if self._live is not None:
            self._live.update(self._view(), refresh=True)

    def __enter__(self) -> "Console":
        if self.is_live:
            self._live = Live(
                console=self._rich,
                get_renderable=self._view,
                refresh_per_second=REFRESHES_PER_SECOND,
                redirect_stderr=False,
            )
            self._live.start()
        else:
            self._print(self.title)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self.refresh()
            self._live.stop()
            self._live = None

    def _begin(self, stage: "Stage") -> None:
        if self._current is not None:
            raise RuntimeError(f"stage {stage.name!r} inside stage {self._current.name!r}")
        self._current = stage
        self.refresh()

    def _end(self, stage: "Stage") -> None:
        self._current = None
        self._finished.append(stage)
        self.refresh()
        if not self.is_live:
            self._print(stage.line())

    def _print(self, text: str) -> None:
        self._rich.print(text, markup=False, emoji=False)
        self._rich.file.flush()

    def _view(self) -> Table:
        view = Table.grid(padding=(0, 1))
        view.add_row(Text(self.title, style="bold"))
        for stage in self._finished:
            mark = ("✗ ", "red") if stage.failed else ("✓ ", "green")
            view.add_row(Text.assemble(mark, stage.line()))
        if self._current is not None:
            view.add_row(self._current.bar())
            view.add_row(Text(f"  {self._current.numbers()}"))
        if self._message:
            view.add_row(Text(self._message, style="dim"))
        return view


class Stage:
    """One stage of a command: how far, how fast, how well. Made by Console.stage."""

    def __init__(self, console: Console, name: str, total: float | None, unit: str) -> None:
        self.name = name
        self.failed = False
        self._console = console
        self._total = total
        self._unit = unit
        self._done = 0.0
        self._begin_done = 0.0
        self._success: tuple[float, float, float] | None = None
        self._sps: float | None = None
        self._split: dict[str, float] = {}
        self._note = ""
        self._begin = time.monotonic()
        self._end: float | None = None
        self._last_line = self._begin

    def message(self, text: str) -> None:
        """Say something once, as the console's message does."""
        self._console.message(text)

    def resume_at(self, done: float) -> None:
        """Start from ``done``; what an earlier process did does not count for speed and ETA."""
        self._done = self._begin_done = done

    def update(
        self,
        *,
        advance: float = 0.0,
        completed: float | None = None,
        success: float | tuple[float, float, float] | None = None,
        sps: float | None = None,
        split: Mapping[str, float] | None = None,
        note: str | None = None,
    ) -> None:
        """Tell what changed; what is left out stays.

        Args:
            advance: work done since the last call, in the stage's unit.
            completed: all work done so far, instead of ``advance``.
            success: success rate in [0, 1], or (rate, low, high) with its interval; NaN: unknown.
            sps: environment steps per second.
            split: share of time by name, such as simulate, infer, update.
            note: anything else, shown behind the numbers.
        """
        self._done = self._done + advance if completed is None else completed
        if success is not None:
            self._success = success if isinstance(success, tuple) else (success,) * 3
        self._sps = self._sps if sps is None else sps
        self._split = self._split if split is None else dict(split)
        self._note = self._note if note is None else note
        self._maybe_print()

    @property
    def seconds(self) -> float:
        """Seconds since the stage began, until its end."""
        return (time.monotonic() if self._end is None else self._end) - self._begin

    @property
    def eta(self) -> float | None:
        """Seconds that the rest will take at the mean speed so far; None while unknown."""
        worked = self._done - self._begin_done
        if self._total is None or worked <= 0:
            return None
        return max(0.0, self._total - self._done) * self.seconds / worked

    def line(self) -> str:
        """All about the stage in one line."""
        return f"{self.name}: {self._time()} · {self.numbers()}"

    def numbers(self) -> str:
        """How far, how well, how fast, where the time goes."""
        parts = [self._progress()]
        if self._success is not None and not math.isnan(self._success[0]):
            rate, low, high = self._success
            interval = f" [{low:.1%}, {high:.1%}]" if low < high else ""
            parts.append(f"success {rate:.1%}{interval}")
        if self._sps is not None:
            parts.append(f"{self._sps:,.0f} steps/s")
        if self._split:
            parts.append(" ".join(f"{name} {share:.0%}" for name, share in self._split.items()))
        if self._note:
            parts.append(self._note)
        return " · ".join(parts)

    def bar(self) -> Table:
        """The progress bar with the stage's name before it and the ETA behind."""
        row = Table.grid(padding=(0, 1))
        row.add_row(
            Text(f"  {self.name}", style="bold"),
            ProgressBar(total=self._total, completed=self._done, width=40, pulse=not self._total),
            Text(self._time()),
        )
        return row

    def __enter__(self) -> "Stage":
        self._console._begin(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end = time.monotonic()
        self.failed = kind is not None
        self._console._end(self)

    def _maybe_print(self) -> None:
        now = time.monotonic()
        if not self._console.is_live and now - self._last_line >= self._console.plain_interval:
            self._last_line = now
            self._console._print(self.line())

    def _progress(self) -> str:
        unit = f" {self._unit}" if self._unit else ""
        if self._total is None:
            return f"{self._done:,.0f}{unit}"
        share = self._done / self._total if self._total else 1.0
        return f"{self._done:,.0f}/{self._total:,.0f}{unit} ({share:.0%})"

    def _time(self) -> str:
        if self._end is not None:
            how = "stopped after" if self.failed else "took"
            return f"{how} {duration(self.seconds)}"
        left = self.eta
        return duration(self.seconds) + ("" if left is None else f", {duration(left)} left")


def duration(seconds: float) -> str:
    """Seconds for the eye: ``7 s``, ``3:05``, ``2:03:05``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes}:{rest:02d}"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"
