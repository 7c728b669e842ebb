"""A terminal as a screen of true colours and a keyboard without Enter."""

import os
import select
import shutil
import sys
import termios
import textwrap
import tty
from collections.abc import Sequence
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flare.errors import UserError

_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[0m\x1b[?25h\x1b[?1049l"
_HOME, _CLEAR_LINE, _CLEAR_BELOW, _PLAIN = "\x1b[H", "\x1b[K", "\x1b[J", "\x1b[0m"
_ESCAPE_WAIT = 0.05  # s within which the rest of an arrow key's bytes arrive
_FEWEST_COLUMNS, _FEWEST_ROWS = 20, 8


def half_blocks(image: NDArray[np.uint8]) -> list[str]:
    """Lines of upper half blocks: each shows two pixels, one above the other.

    Args:
        image: [2 h, w, 3].

    Returns:
        h lines with colour codes, w characters wide.
    """
    lines = []
    for upper, lower in zip(image[::2].tolist(), image[1::2].tolist(), strict=True):
        parts, last = [], None
        for top, bottom in zip(upper, lower, strict=True):
            if (top, bottom) != last:
                parts.append("\x1b[38;2;{};{};{};48;2;{};{};{}m".format(*top, *bottom))
                last = (top, bottom)
            parts.append("▀")
        lines.append("".join(parts) + _PLAIN)
    return lines


class Terminal:
    """The terminal of standard input and output, given back as it was."""

    def __enter__(self) -> "Terminal":
        """Take the terminal.

        Raises:
            UserError: input or output is no terminal, or it is too small.
        """
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            raise UserError(
                "needs a terminal to show pictures and read keys",
                mend="run it in one, or give --actions and --video",
                key="flare play",
            )
        columns, rows = self.size()
        if columns < _FEWEST_COLUMNS or rows < _FEWEST_ROWS:
            raise UserError(
                f"the terminal has {columns} columns and {rows} rows",
                mend=f"make it at least {_FEWEST_COLUMNS} by {_FEWEST_ROWS}",
                key="flare play",
            )
        self._input = sys.stdin.fileno()
        self._before: list[Any] = termios.tcgetattr(self._input)
        tty.setraw(self._input, termios.TCSANOW)
        self._write(_ENTER)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the terminal back."""
        self._write(_LEAVE)
        termios.tcsetattr(self._input, termios.TCSANOW, self._before)

    @staticmethod
    def size() -> tuple[int, int]:
        """Columns and rows now."""
        size = shutil.get_terminal_size()
        return size.columns, size.lines

    def room_for(self, words: Sequence[str]) -> tuple[int, int]:
        """Width and height in pixels that a picture may have above these lines of words."""
        columns, rows = self.size()
        taken = sum(len(_wrapped(line, columns)) for line in words)
        return columns, 2 * max(1, rows - taken)

    def show(self, image: NDArray[np.uint8], words: Sequence[str]) -> None:
        """A picture [2 h, w, 3] with lines of words below it."""
        columns, _ = self.size()
        lines = half_blocks(image)
        for line in words:
            lines += _wrapped(line, columns)
        text = f"{_CLEAR_LINE}\r\n".join(lines)
        self._write(f"{_HOME}{text}{_CLEAR_LINE}{_CLEAR_BELOW}")

    def read_key(self) -> str:
        """Wait for a key; an arrow comes as its escape sequence, the end of input as Ctrl-D."""
        data = os.read(self._input, 1)
        if data == b"\x1b":
            while len(data) < 3 and select.select([self._input], [], [], _ESCAPE_WAIT)[0]:
                data += os.read(self._input, 1)
        return data.decode("utf-8", "replace") or "\x04"

    @staticmethod
    def _write(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()


def _wrapped(line: str, columns: int) -> list[str]:
    return textwrap.wrap(line, columns) or [""]
