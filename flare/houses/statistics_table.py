"""The statistics of several house files as one table, a column each."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from rich.table import Table

from flare.houses.statistics import HouseStatistics, Spread

_MOST_SHOWN = 12  # types of pieces and things


def statistics_table(files: Mapping[str, HouseStatistics]) -> Table:
    """Lay statistics out side by side.

    Args:
        files: name of a file → its numbers; distances are to the first.

    Returns: rows of medians with 10–90 % ranges, then shares, then target categories.
    """
    columns = list(files.values())
    table = Table(title="Houses: median (10 %–90 %), shares in %", title_justify="left")
    table.add_column("")
    for name in files:
        table.add_column(Path(name).name, justify="right", no_wrap=True)
    table.add_row("houses", *(str(column.num_houses) for column in columns))
    for measure in _in_order(column.spreads for column in columns):
        table.add_row(measure, *(_spread_text(column.spreads.get(measure)) for column in columns))
    for kind in _in_order(column.shares for column in columns):
        table.add_section()
        _add_shares(table, kind, columns)
    table.add_section()
    for target in _in_order(column.targets for column in columns):
        shares = (_percent(column.targets[target]) for column in columns)
        table.add_row(f"houses with: {target}", *shares)
    return table


def _add_shares(table: Table, kind: str, columns: list[HouseStatistics]) -> None:
    values = _in_order(column.shares.get(kind, {}) for column in columns[:1])
    values += [v for v in _in_order(c.shares.get(kind, {}) for c in columns) if v not in values]
    for value in values[:_MOST_SHOWN]:
        shares = (_percent(column.shares.get(kind, {}).get(value, 0.0)) for column in columns)
        table.add_row(f"{kind}: {value}", *shares)
    if len(columns) > 1:
        apart = [f"{columns[0].distance(other, kind):.2f}" for other in columns[1:]]
        table.add_row(f"{kind}: total variation to the first", "", *apart)


def _in_order(tables: Iterable[Mapping[str, object]]) -> list[str]:
    """Keys of all tables, in the order in which they come first."""
    return list(dict.fromkeys(key for table in tables for key in table))


def _spread_text(spread: Spread | None) -> str:
    if spread is None:
        return "–"
    return f"{spread.median:.2f} ({spread.low:.2f}–{spread.high:.2f})"


def _percent(share: float) -> str:
    return f"{100.0 * share:.1f}"
