"""Writes benchmarks/KERNELS.md from a run of bench_kernels: ``python -m benchmarks.kernels_page``.

The page puts what was measured beside what was said before the first run; no number in it is typed.
"""

import argparse
import json
import os
from pathlib import Path
from typing import Any

from benchmarks.run import RESULTS
from flare.atomic import atomic_write

RESULT = RESULTS / "h200" / "kernels.json"
PAGE = RESULTS.parent / "KERNELS.md"

HEAD = """# Kernels on a GPU: predictions and outcomes

{gpu}, torch {torch}, Triton {triton}, commit {commit}. A copy of 2 GiB moves {copy:.2f} TB/s, a
bfloat16 product of 8192 does {product:.0f} TFLOP/s: these make the floors. Written by
`python -m benchmarks.kernels_page` from `{source}`.

*share*: the floor's time over ours. *ratio*: the time of the best other way over ours, so above 1
is faster. *said*: what `benchmarks/kernel_predictions.py` said of either before the first run.
*forward* and *both* of small work are replays of a CUDA graph, as a rollout step runs; *called* is
launched from Python, which then is most of it. *error* is relative to float64.

| workload | | us | floor | share | said | ratio | said | best other | error |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
"""


def _number(x: float | None, digits: int = 2) -> str:
    return "" if x is None else f"{x:.{digits}f}"


def _rows(case: dict[str, Any]) -> list[str]:
    rows = []
    for direction, w in case["worth"].items():
        kind = "forward" if direction.startswith("forward") else "backward"
        cells = [
            case["name"], direction, _number(w["us"], 1), _number(w["floor_us"], 1),
            _number(w["fraction_of_floor"]), _number(w["predicted_fraction"]),
            _number(w["ratio_to_best"]), _number(w["predicted_ratio"]), w["best_other"] or "",
            f"{case['errors']['flare'][kind]:.1e}",
        ]  # fmt: skip
        rows.append("| " + " | ".join(cells) + " |")
    rows += [f"| {case['name']} | {direction} | failed: {reason} | | | | | | | |"
             for direction, reason in case["failed"].items()]  # fmt: skip
    return rows


def _verdict(cases: list[dict[str, Any]]) -> str:
    """How often a prediction was met, and where another way is faster."""
    found = [(case["name"], direction, w) for case in cases for direction, w in
             case["worth"].items()]  # fmt: skip
    lines = []
    for what, got, said in (("share of the floor", "fraction_of_floor", "predicted_fraction"),
                            ("ratio", "ratio_to_best", "predicted_ratio")):  # fmt: skip
        claimed = [w for _, _, w in found if w[said] is not None and w[got] is not None]
        met = sum(w[got] >= w[said] for w in claimed)
        lines.append(f"Of {len(claimed)} predictions of the {what} {met} were met.")
    slower = [f"{name} {direction} ({w['ratio_to_best']:.2f}, {w['best_other']})"
              for name, direction, w in found
              if w["ratio_to_best"] is not None and w["ratio_to_best"] < 1.0]  # fmt: skip
    lines.append("Slower than the best other way: " + ("; ".join(slower) or "none") + ".")
    return "\n".join(lines)


def _end_to_end(results: list[dict[str, Any]]) -> str:
    columns = ("envs", "way", "act_ms", "encode_ms", "update_ms", "steps_per_s", "peak_gb")
    lines = ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    for result in results:
        cells = [f"{x:.2f}" if isinstance(x, float) else str(x)
                 for x in (result.get(column, "") for column in columns)]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def page(run: dict[str, Any], source: str) -> str:
    """The page of a run.

    Args:
        run: what bench_kernels wrote.
        source: its file, as the page names it.
    """
    gpu = run["gpu"]
    text = HEAD.format(
        gpu=gpu["device"], torch=gpu["torch"], triton=gpu.get("triton", "none"),
        commit=run["commit"][:10] or "unknown", copy=run["ceilings"]["bytes_per_s"] / 1e12,
        product=run["ceilings"]["flops"] / 1e12, source=source,
    )  # fmt: skip
    text += "\n".join(row for case in run["cases"] for row in _rows(case))
    text += "\n\n" + _verdict(run["cases"]) + "\n"
    if run["end_to_end"]:
        text += "\n## The whole policy, without worlds\n\n" + _end_to_end(run["end_to_end"]) + "\n"
    return text


def main() -> int:
    """Write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kernels_page", description=__doc__)
    parser.add_argument("--run", type=Path, default=RESULT, help="what bench_kernels wrote")
    parser.add_argument("--out", type=Path, default=PAGE)
    chosen = parser.parse_args()
    source = os.path.relpath(chosen.run, PAGE.parent.parent)
    with atomic_write(chosen.out) as file:
        file.write(page(json.loads(chosen.run.read_text()), source).encode())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
