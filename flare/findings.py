"""What a check of this machine found, and how to mend it."""

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "note", "problem"]


@dataclass(frozen=True)
class Finding:
    """One line: what was looked at, what was found, and how to mend it."""

    name: str
    verdict: Verdict
    found: str
    mend: str = ""

    def line(self) -> str:
        """The finding for the eye."""
        mark = {"ok": "ok     ", "note": "note   ", "problem": "PROBLEM"}[self.verdict]
        mend = f". Mend: {self.mend}" if self.mend else ""
        return f"{mark}  {self.name:<13} {self.found}{mend}"
