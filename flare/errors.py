"""What the person at the keyboard did wrong, said in one line with the way to mend it."""

import os
import sys


class UserError(Exception):
    """Bad input: a file, a configuration value, a flag, a full disk. Never one of our own bugs.

    ``str()`` is one line, ``file: key: what. Mend: …``; the command line prints it and exits with
    code 2, without a traceback. The parts stay readable as attributes.
    """

    def __init__(
        self,
        what: str,
        *,
        mend: str,
        file: str | os.PathLike[str] | None = None,
        key: str | None = None,
    ) -> None:
        """Keep the parts of the message.

        Args:
            what: what is wrong, with the value that was found.
            mend: what to do about it, as an imperative sentence.
            file: the file that holds the mistake.
            key: the dotted key inside that file, or the name of the argument.
        """
        self.what = _one_line(what).rstrip(".")
        self.mend = _one_line(mend).rstrip(".")
        self.file = None if file is None else os.fspath(file)
        self.key = key
        place = "".join(f"{part}: " for part in (self.file, key) if part)
        stop = "" if self.mend.endswith(("?", "!")) else "."
        super().__init__(f"{place}{self.what}. Mend: {self.mend}{stop}")

    def __reduce__(self) -> tuple[object, ...]:
        """Survive the trip from a worker process; keyword-only arguments do not by themselves."""
        return (_rebuild, (self.what, self.mend, self.file, self.key))

    def at(
        self, *, file: str | os.PathLike[str] | None = None, prefix: str | None = None
    ) -> "UserError":
        """The same error seen from further out: with a file, with its key below ``prefix``.

        A key that begins with its section, as command lines show it, does not name it twice.
        """
        own = self.key
        if own and prefix and "." in own and prefix.split(".")[-1] == own.split(".")[0]:
            own = own.partition(".")[2]
        key = ".".join(part for part in (prefix, own) if part) or None
        return UserError(self.what, mend=self.mend, file=self.file or file, key=key)


def require(fine: bool, key: str, value: object, mend: str) -> None:
    """Refuse the value of a configuration's field.

    Args:
        fine: the value's test, written so that a NaN fails it.
        key: the field, with its section where the section has one.
        value: what was found.
        mend: what would be right.

    Raises:
        UserError: it is not fine.
    """
    if not fine:
        raise UserError(f"is {value!r}", key=key, mend=mend)


def _rebuild(what: str, mend: str, file: str | None, key: str | None) -> UserError:
    return UserError(what, mend=mend, file=file, key=key)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def user_error_types() -> tuple[type[BaseException], ...]:
    """The exception types that stand for bad input: UserError and the core's FlareError.

    The core is looked up, not imported: while it is not loaded nothing can have raised its errors,
    and commands that do without it stay quick.
    """
    core = sys.modules.get("flare._core")
    return (UserError,) if core is None else (UserError, core.FlareError)
