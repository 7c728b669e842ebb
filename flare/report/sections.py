"""What each section of the report shows, as plain values for the template."""

from collections.abc import Callable, Sequence
from typing import Any

from markupsafe import Markup

from flare.evaluation.failures import failure_of
from flare.report.charts import Series, line_chart, stacked_bar, whisker
from flare.report.data import AFTER, BEFORE, RunData
from flare.report.maps import episode_map
from flare.report.numbers import MISSING, ShownNumbers

Record = dict[str, Any]

# Title, names that recipes have for it (the first that occurs is drawn), whether it is a share.
_CURVES: tuple[tuple[str, tuple[str, ...], bool], ...] = (
    ("Success in training", ("success_rate",), True),
    ("Return", ("return", "mean_return"), False),
    ("Loss", ("loss", "imitation_loss"), False),
    ("Accuracy", ("accuracy", "action_accuracy"), True),
    ("Entropy", ("entropy", "loss/entropy"), False),
    ("KL to the old policy", ("approx_kl", "kl", "loss/approx_kl"), False),
    ("KL to the imitated policy", ("kl_to_anchor", "loss/kl_to_anchor"), False),
    ("Value loss", ("value_loss", "loss/value"), False),
    ("Explained variance", ("explained_variance", "loss/explained_variance"), False),
)
_NOT_CURVES = {"stage", "iteration", "step", "time", "episodes"}
_STAGE_TITLES = {"pretrain": "Imitation", "finetune": "Fine-tuning"}
_MAPS_EACH = 3  # successes, and as many failures, of each evaluation
_GROUPS = (
    ("by_task", "Per task", "Task"),
    ("by_target_type", "Per target", "Target"),
    ("by_distance", "Per length of the shortest path", "Path"),
    ("by_room_count", "Per number of rooms", "Rooms"),
    ("by_house", "Per house", "House"),
)


def headline(run: RunData) -> Record | None:
    """Return the sentence at the top and its big numbers; None without an evaluation."""
    old, new = run.summaries.get(BEFORE), run.summaries.get(AFTER)
    if new is None and old is None:
        return None
    shown = new or old
    assert shown is not None
    return {
        "before": old and old["success"],
        "after": new and new["success"],
        "episodes": shown["count"],
        "houses": len(shown["by_house"]),
        "split": shown["split"],
        "comparison": run.comparison,
    }


def result_rows(run: RunData, numbers: ShownNumbers) -> list[Record]:
    """Return the rows of the before/after table: label, note and a cell for each evaluation."""
    rows = [
        _row("Success", "share of all episodes", run, lambda s, k: _rate(numbers, s, k)),
        *_greedy_row(run, numbers),
        _row("SEL", "success weighted by episode length against the expert", run,
             lambda s, k: _mean(numbers, s["sel"], f"{k}.sel", share=True)),
        _row("SPL", "success weighted by path length", run,
             lambda s, k: _mean(numbers, s["spl"], f"{k}.spl", share=True)),
        _row("Steps per episode", "actions executed", run,
             lambda s, k: _mean(numbers, s["length"], f"{k}.length", share=False)),
        _row("Collisions per 100 steps", "blocked base moves", run,
             lambda s, k: numbers.number(f"{k}.collisions.per_100_steps",
                                         s["collisions"]["per_100_steps"], 2)),
        _row("Wrong done", "ended by the robot, without success", run,
             lambda s, k: numbers.number(f"{k}.wrong_done", s["wrong_done"], 0)),
        _row("Step limit", "ended by the clock", run,
             lambda s, k: numbers.number(f"{k}.ends.limit", s["ends"]["limit"], 0)),
        _row("Simulator faults", "counted as failures", run,
             lambda s, k: numbers.number(f"{k}.ends.fault", s["ends"]["fault"], 0)),
    ]  # fmt: skip
    if any(run.summaries[stage]["missing"] for stage in (BEFORE, AFTER) if stage in run.summaries):
        rows.append(
            _row("Missing", "episodes without a record, counted as failures", run,
                 lambda s, k: numbers.number(f"{k}.missing", len(s["missing"]), 0))
        )  # fmt: skip
    return rows


def comparison(run: RunData, numbers: ShownNumbers) -> Record | None:
    """Return the paired test's numbers as elements; None without a comparison."""
    content = run.comparison
    if content is None:
        return None
    cells = {
        name: numbers.number(f"comparison.{name}", content[name], 0)
        for name in ("n", "both", "only_before", "only_after", "neither")
    }
    difference = content["difference"]
    return {
        **cells,
        "difference": numbers.percent(
            "comparison.difference.estimate", difference["estimate"], signed=True
        ),
        "interval": numbers.percent_interval("comparison.difference", difference),
        "p_value": numbers.p_value("comparison.p_value", content["p_value"]),
        "test": content["test"],
        "is_clear": difference["low"] > 0 or difference["high"] < 0,
    }


def curves(run: RunData) -> list[Record]:
    """Return the learning curves of each stage: title, main charts and all others."""
    stages = []
    for stage, records in run.metrics.items():
        unit = "steps" if stage == "finetune" else "epochs"
        x = [float(record.get("step", i)) for i, record in enumerate(records)]
        used: set[str] = set()
        charts = []
        for title, names, percent in _CURVES:
            name = next((n for n in names if any(n in record for record in records)), None)
            if name is None:
                continue
            used.add(name)
            charts.append(_chart(title, x, [r.get(name) for r in records], unit, percent))
        speed = [record.get("time", {}).get("sps") for record in records]
        charts.append(_chart("Steps per second", x, speed, unit, False))
        others = sorted({k for record in records for k in record} - used - _NOT_CURVES)
        more = [
            _chart(name, x, [_scalar(r.get(name)) for r in records], unit, False) for name in others
        ]
        stages.append(
            {
                "title": _STAGE_TITLES.get(stage, stage),
                "charts": [chart for chart in charts if chart["svg"]],
                "more": [chart for chart in more if chart["svg"]],
            }
        )
    return stages


def time_split(run: RunData) -> list[Record]:
    """Return, for each stage that timed itself, the shares of its parts and its speed."""
    result = []
    for stage, records in run.metrics.items():
        totals: dict[str, float] = {}
        for record in records:
            clock = record.get("time", {})
            for name, share in clock.get("split", {}).items():
                totals[name] = totals.get(name, 0.0) + share * clock.get("seconds", 1.0)
        whole = sum(totals.values())
        if whole <= 0:
            continue
        shares = [(name, seconds / whole) for name, seconds in totals.items()]
        speeds = sorted(r["time"]["sps"] for r in records if r.get("time", {}).get("sps"))
        result.append(
            {
                "title": _STAGE_TITLES.get(stage, stage),
                "bar": Markup(stacked_bar(shares, "Split of time")),
                "parts": [
                    {"name": name, "share": f"{share:.0%}", "minutes": f"{totals[name] / 60:.1f}"}
                    for name, share in shares
                ],
                "speed": f"{speeds[len(speeds) // 2]:,.0f}" if speeds else None,
            }
        )
    return result


def failed_worlds(run: RunData) -> Record | None:
    """What the worlds' processes cost: of the last record that tells it; None if nothing failed."""
    records = [
        r for stage in run.metrics.values() for r in stage if isinstance(r.get("worlds"), dict)
    ]
    if not records:
        return None
    last: Record = records[-1]["worlds"]
    return last if any(last.values()) else None


def maps(run: RunData) -> list[Record]:
    """Return plans with trajectories: for each evaluation some successes and failures."""
    gained = (run.comparison or {}).get("gained", [])
    galleries = []
    for stage in (BEFORE, AFTER):
        records = [r for r in run.episodes.get(stage, []) if r.get("trajectory")]
        wins = _choose([r for r in records if r["success"]], gained)
        losses = _choose([r for r in records if not r["success"]], gained)
        chosen = [*wins, *losses]
        if not chosen:
            continue
        houses = run.houses(
            str(chosen[0]["split"]), {r["house"]: str(r.get("house_source", "")) for r in chosen}
        )
        cards = [_map_card(r, houses[r["house"]]) for r in chosen if r["house"] in houses]
        if cards:
            title = "Before fine-tuning" if stage == BEFORE else "After fine-tuning"
            galleries.append({"title": title, "cards": cards})
    return galleries


def group_tables(run: RunData, numbers: ShownNumbers) -> list[Record]:
    """Return the tables of success per target, distance, room count and house."""
    tables = []
    for field, title, heading in _GROUPS:
        rows: dict[str, Record] = {}
        for stage in (BEFORE, AFTER):
            for group in run.summaries.get(stage, {}).get(field, []):
                name, order = _group_name(group)
                row = rows.setdefault(name, {"name": name, "order": order, "episodes": 0})
                row["episodes"] = max(row["episodes"], group["episodes"])
                row[stage] = _rate(numbers, group, f"{stage}.{field}.{name}")
                row[f"{stage}_rate"] = group["success"]["rate"]
        is_told_above = field == "by_task" and len(rows) < 2
        if rows and not is_told_above:
            tables.append({"title": title, "heading": heading, "rows": list(rows.values())})
    return tables


def failures(run: RunData, numbers: ShownNumbers) -> list[Record]:
    """Return a row per kind of failure: its share of all episodes in each evaluation, examples."""
    rows: dict[str, Record] = {}
    for stage in (BEFORE, AFTER):
        for group in run.summaries.get(stage, {}).get("failures", []):
            row = rows.setdefault(group["kind"], {"name": group["kind"]})
            key, css = f"{stage}.failures.{group['kind']}", "s0" if stage == BEFORE else "s1"
            row[stage] = {
                "main": numbers.percent(f"{key}.share", group["share"]),
                "interval": numbers.percent_interval(key, group),
                "whisker": Markup(whisker(group["low"], group["share"], group["high"], css)),
            }
            row[f"{stage}_rate"] = group["share"]
            row[f"{stage}_episodes"] = ", ".join(str(e) for e in group["episodes"])
    last = AFTER if AFTER in run.summaries else BEFORE
    return sorted(rows.values(), key=lambda row: -float(row.get(f"{last}_rate", 0.0)))


def _row(
    label: str, note: str, run: RunData, cell: Callable[[Record, str], Markup | Record]
) -> Record:
    cells = [
        cell(run.summaries[stage], stage) if stage in run.summaries else None
        for stage in (BEFORE, AFTER)
    ]
    return {"label": label, "note": note, "cells": cells}


def _greedy_row(run: RunData, numbers: ShownNumbers) -> list[Record]:
    stages = [f"{stage}_greedy" for stage in (BEFORE, AFTER)]
    if not any(stage in run.summaries for stage in stages):
        return []
    cells = [
        _rate(numbers, run.summaries[stage], stage) if stage in run.summaries else None
        for stage in stages
    ]
    note = "the likeliest action instead of a sampled one"
    return [{"label": "Success, greedy", "note": note, "cells": cells}]


def _rate(numbers: ShownNumbers, group: Record, key: str) -> Record:
    success = group["success"]
    css = "s0" if key.startswith(BEFORE) else "s1"
    return {
        "main": numbers.percent(f"{key}.success.rate", success["rate"]),
        "interval": numbers.percent_interval(f"{key}.success", success),
        "whisker": Markup(whisker(success["low"], success["rate"], success["high"], css)),
        "value": success["rate"],
    }


def _mean(numbers: ShownNumbers, mean: Record | None, key: str, *, share: bool) -> Record:
    show = numbers.percent if share else numbers.number
    bounds = numbers.percent_interval if share else numbers.number_interval
    return {
        "main": show(f"{key}.estimate", mean["estimate"] if mean else None),
        "interval": bounds(key, mean),
    }


def _chart(
    title: str, x: Sequence[float], y: Sequence[float | None], unit: str, percent: bool
) -> Record:
    series = Series(name=title, x=x, y=y)
    last = next((value for value in reversed(y) if value is not None), None)
    text = MISSING if last is None else (f"{100 * last:.1f} %" if percent else f"{last:.4g}")
    svg = line_chart(title, [series], x_label=unit, percent=percent)
    return {"title": title, "svg": Markup(svg), "last": text.replace("-", "−")}


def _scalar(value: object) -> float | None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if is_number else None  # type: ignore[arg-type]


def _choose(records: list[Record], preferred: Sequence[int]) -> list[Record]:
    """Choose a few typical episodes: from the preferred ones if there are, spread over lengths.

    Of episodes that fine-tuning gained, before shows the failure and after the success, so the
    same episodes are preferred in both.
    """
    favourites = [r for r in records if r["episode"] in set(preferred)]
    chosen = _spread(favourites, _MAPS_EACH)
    rest = [r for r in records if r not in chosen]
    return chosen + _spread(rest, _MAPS_EACH - len(chosen))


def _spread(records: list[Record], count: int) -> list[Record]:
    """Choose records at evenly spaced ranks of the expert's length, which no policy changes."""
    ordered = sorted(records, key=lambda r: (r["expert_length"], r["episode"]))
    if len(ordered) <= count:
        return ordered
    return [ordered[(2 * i + 1) * len(ordered) // (2 * count)] for i in range(count)]


def _map_card(record: Record, house: Record) -> Record:
    return {
        "svg": Markup(episode_map(house, record)),
        "episode": record["episode"],
        "house": record["house"],
        "instruction": record["instruction"],
        "success": record["success"],
        "failure": failure_of(record),
        "end": {"done": "done", "limit": "step limit", "fault": "fault"}[record["end"]],
        "length": record["length"],
        "expert_length": record["expert_length"] if record["expert_length"] >= 0 else None,
        "first_seen": record.get("first_seen"),
    }


def _group_name(group: Record) -> tuple[str, float | str]:
    if "key" in group:
        return str(group["key"]), group["key"]
    low, high = group["low"], group["high"]
    if low is None:
        return "unknown", -1.0
    return (f"{low:g}–{high:g} m" if high is not None else f"{low:g} m and more"), low
