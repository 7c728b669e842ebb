"""Writes the README's tables of results from the files of finished runs.

``python -m flare.report.readme_table README.md runs/a runs/b runs/c`` replaces what stands between
the markers of each kind of run that is given; the numbers are never typed.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flare.atomic import PathLike, write_text
from flare.errors import UserError
from flare.report.data import AFTER, BEFORE, RunData, load_run

BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
_UNKNOWN = "–"


@dataclass(frozen=True, slots=True)
class Table:
    """One block of the README."""

    begin: str  # marker
    end: str
    head: tuple[str, ...]
    rule: tuple[str, ...]
    rows: Callable[[RunData], list[list[str]]]
    key: Callable[[list[str]], Any]  # rows are sorted by it

    def text(self, runs: Sequence[RunData]) -> str:
        """Markdown, the rows of all runs sorted."""
        rows = sorted((row for run in runs for row in self.rows(run)), key=self.key)
        return "\n".join(_line(cells) for cells in (self.head, self.rule, *rows))


def update_readme(readme: PathLike, run_dirs: Sequence[PathLike]) -> str:
    """Replace the blocks between markers by the tables of these runs; returns the tables.

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
    runs = [load_run(folder) for folder in run_dirs]
    tables: list[str] = []
    for recipe, table in TABLES.items():
        chosen = [run for run in runs if _recipe(run) == recipe]
        if chosen or not runs:
            _check_markers(text, table, path)
        if chosen:
            tables.append(table.text(chosen))
            head, tail = text.partition(table.begin)[0], text.partition(table.end)[2]
            text = f"{head}{table.begin}\n{tables[-1]}\n{table.end}{tail}"
    write_text(path, text)
    return "\n\n".join(tables)


def _check_markers(text: str, table: Table, path: Path) -> None:
    begin, end = table.begin, table.end
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise UserError(
            "has no block for the results",
            mend=f"put {begin} and {end} on lines of their own, once each",
            file=path,
        )


def _recipe(run: RunData) -> str:
    name = (run.manifest or {}).get("recipe")
    return name if name in TABLES else "demo"


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


def _demo_rows(run: RunData) -> list[list[str]]:
    """Before and after fine-tuning."""
    manifest, config = run.manifest or {}, run.config or {}
    old, new = (_success(run, stage, f"{stage} fine-tuning") for stage in (BEFORE, AFTER))
    gain = _gain(run, 100 * (new["rate"] - old["rate"]))
    return [[_seed(run), _houses(config), _percent(old), _percent(new), gain, *_made(manifest)]]


def _imitate_rows(run: RunData) -> list[list[str]]:
    """Each task's success, sampled and greedy."""
    manifest, config = run.manifest or {}, run.config or {}
    return [
        [
            name,
            _percent(_success(run, name, f"of {name}")),
            _percent(_success(run, f"{name}_greedy", f"of {name}, greedy")),
            f"{config['num_demonstrations']:,}",
            _seed(run),
            *_made(manifest),
        ]
        for name in config.get("tasks", ())
    ]


def _success(run: RunData, stage: str, what: str) -> dict[str, float]:
    """Of the evaluation ``stage``, which is called ``what`` where it is missing."""
    if stage not in run.summaries:
        raise UserError(
            f"has no evaluation {what}",
            mend="finish the run",
            file=run.path / "eval" / f"{stage}.summary.json",
        )
    success: dict[str, float] = run.summaries[stage]["success"]
    return success


def _seed(run: RunData) -> str:
    seed = (run.manifest or {}).get("seed", (run.config or {}).get("seed"))
    return _UNKNOWN if seed is None else str(seed)


def _made(manifest: dict[str, Any]) -> list[str]:
    """Minutes, machine, commit."""
    machine, git = manifest.get("machine") or {}, manifest.get("git") or {}
    return [_minutes(manifest), _machine(machine), _commit(git)]


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


_MADE = ("minutes", "machine", "commit")
TABLES = {  # by the recipe that the manifest names
    "demo": Table(
        BEGIN, END,
        ("seed", "houses", "before", "after", "gain", *_MADE),
        ("---:", "---", *["---:"] * 4, "---", "---"),
        _demo_rows, lambda row: (row[1], row[0].zfill(9)),
    ),
    "imitate": Table(
        "<!-- imitation:begin -->", "<!-- imitation:end -->",
        ("task", "success, sampled", "success, greedy", "expert episodes", "seed", *_MADE),
        ("---", *["---:"] * 5, "---", "---"),
        _imitate_rows, lambda row: row[4].zfill(9),
    ),
}  # fmt: skip


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
