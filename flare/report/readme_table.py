"""Writes the README's table of results from the files of finished runs.

``python -m flare.report.readme_table README.md runs/a runs/b runs/c`` replaces what stands between
the two markers; the numbers are never typed.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flare.atomic import PathLike, write_text
from flare.errors import UserError
from flare.report.data import AFTER, BEFORE, RunData, load_run

BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
_HEAD = ("seed", "houses", "before", "after", "gain", "minutes", "machine", "commit")
_UNKNOWN = "–"


def results_table(runs: Sequence[RunData]) -> str:
    """Return a Markdown table with a row for each run, sorted by houses and seed.

    Raises:
        UserError: a run has no evaluation before and after fine-tuning.
    """
    rows = sorted((_row(run) for run in runs), key=lambda row: (row[1], row[0].zfill(9)))
    lines = [_line(_HEAD), _line(["---:", "---", *["---:"] * 4, "---", "---"])]
    return "\n".join([*lines, *(_line(row) for row in rows)])


def update_readme(readme: PathLike, run_dirs: Sequence[PathLike]) -> str:
    """Replace the block between the markers by the table of these runs; returns the table.

    Raises:
        UserError: the file lacks the markers, or a folder is no finished run.
    """
    path = Path(readme)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"cannot read ({error.strerror})", mend="check the path", file=path
        ) from error
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise UserError(
            "has no block for the results",
            mend=f"put {BEGIN} and {END} on lines of their own, once each",
            file=path,
        )
    table = results_table([load_run(folder) for folder in run_dirs])
    head, tail = text.partition(BEGIN)[0], text.partition(END)[2]
    write_text(path, f"{head}{BEGIN}\n{table}\n{END}{tail}")
    return table


def main(arguments: Sequence[str]) -> int:
    """Run the command; bad input gives one line and exit code 2."""
    if len(arguments) < 2:
        print("usage: python -m flare.report.readme_table README.md RUN…", file=sys.stderr)
        return 2
    try:
        print(update_readme(arguments[0], arguments[1:]))
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _row(run: RunData) -> list[str]:
    for stage in (BEFORE, AFTER):
        if stage not in run.summaries:
            raise UserError(
                f"has no evaluation {stage} fine-tuning",
                mend="finish the run",
                file=run.path / "eval" / f"{stage}.summary.json",
            )
    manifest, config = run.manifest or {}, run.config or {}
    old, new = (run.summaries[stage]["success"] for stage in (BEFORE, AFTER))
    seed = manifest.get("seed", config.get("seed"))
    return [
        _UNKNOWN if seed is None else str(seed),
        _houses(config),
        _percent(old),
        _percent(new),
        _gain(run, 100 * (new["rate"] - old["rate"])),
        _minutes(manifest),
        _machine(manifest.get("machine") or {}),
        _commit(manifest.get("git") or {}),
    ]


def _houses(config: dict[str, Any]) -> str:
    source = config.get("houses")
    return Path(source).name if source else "generated"


def _percent(success: dict[str, float]) -> str:
    low, high = 100 * success["low"], 100 * success["high"]
    return f"{100 * success['rate']:.1f} % [{low:.1f}, {high:.1f}]"


def _gain(run: RunData, points: float) -> str:
    text = f"{points:+.1f}"
    if run.comparison is not None:
        difference = run.comparison["difference"]
        text += f" [{100 * difference['low']:.1f}, {100 * difference['high']:.1f}]"
    return text.replace("-", "−")


def _minutes(manifest: dict[str, Any]) -> str:
    seconds = manifest.get("seconds")
    return _UNKNOWN if seconds is None else f"{seconds / 60:.1f}"


def _machine(machine: dict[str, Any]) -> str:
    if "cpu" not in machine:
        return _UNKNOWN
    return f"{machine['cpu']}, {machine['cores']} cores".replace("|", "/")


def _commit(git: dict[str, Any]) -> str:
    if "commit" not in git:
        return _UNKNOWN
    return f"`{git['commit'][:8]}`" + ("+" if git.get("changed") else "")


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
