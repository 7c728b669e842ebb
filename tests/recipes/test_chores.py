"""``flare imitate`` from houses to the README's table, stopped on the way."""

import json
import os
import signal

import pytest

from flare import cli
from flare.imitation.encoded import EncodedDemonstrations
from flare.metrics import read_records
from flare.recipes.chores import TASKS, ImitateConfig, Imitation
from flare.report.readme_table import TABLES, update_readme

pytestmark = pytest.mark.slow

SMALL = (
    "imitate", "--quick", "--num-threads", 1, "--max-steps", 40, "--camera.width", 42,
    "--camera.height", 24, "--encoder.num-views", 64, "--encoder.batch-size", 16,
)  # fmt: skip


def flare(*arguments, expect=0):
    assert cli.main([str(each) for each in arguments]) == expect


def test_every_task_is_measured_and_an_interrupted_run_ends_alike(tmp_path, monkeypatch):
    flare(*SMALL, "--runs", tmp_path, "--name", "whole")
    whole = tmp_path / "whole"
    for name in TASKS:
        for stage in (name, f"{name}_greedy"):
            records = list(read_records(whole / "eval" / f"{stage}.jsonl"))
            assert len(records) == ImitateConfig(quick=True).resolved().num_eval_episodes
            assert {record["task"] for record in records} == {name}

    left = [3]  # the third task's demonstrations are not begun
    real = Imitation._demonstrations

    def demonstrations(self, name, policy):
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGTERM)
        return real(self, name, policy)

    monkeypatch.setattr(Imitation, "_demonstrations", demonstrations)
    flare(*SMALL, "--runs", tmp_path, "--name", "cut", expect=130)
    cut = tmp_path / "cut"
    kept = [path.stem for path in (cut / "demonstrations").iterdir()]
    assert sorted(kept) == sorted(TASKS[:2])
    flare("imitate", "--resume", cut)
    for name in ("latest/model.safetensors", *(f"eval/{task}.jsonl" for task in TASKS)):
        assert (cut / name).read_bytes() == (whole / name).read_bytes()

    parts = [EncodedDemonstrations.load(whole / "demonstrations" / f"{t}.npz") for t in TASKS]
    joined = EncodedDemonstrations.join(parts)
    assert joined.offsets[-1] == len(joined.features) == sum(len(p.features) for p in parts)
    assert joined.instructions[-1] == parts[-1].instructions[-1]

    table = TABLES["imitate"]
    readme = tmp_path / "README.md"
    readme.write_text(f"head\n{table.begin}\n{table.end}\ntail\n")
    rows = update_readme(readme, [whole]).splitlines()[2:]
    assert [row.split(" | ")[0].strip("| ") for row in rows] == list(TASKS)
    success = json.loads((whole / "eval" / "PickUp.summary.json").read_text())["success"]
    assert f"{100 * success['rate']:.1f} % [{100 * success['low']:.1f}" in rows[1]
