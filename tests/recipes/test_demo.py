"""The whole loop through the command line, then fine-tuning that is interrupted and resumed."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from flare.metrics import read_records

pytestmark = pytest.mark.slow


def flare(*arguments, cwd, **options):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
    return subprocess.run(
        [sys.executable, "-m", "flare", *map(str, arguments)],
        cwd=cwd, env=environment, capture_output=True, text=True, timeout=500, **options,
    )  # fmt: skip


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    done = flare("demo", "--quick", "--name", "quick", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "runs" / "quick", done.stdout


def test_every_stage_leaves_its_result(demo):
    run, log = demo
    for name in ("config.json", "manifest.json", "report.html", "houses/train.jsonl.gz",
                 "pretrain/latest/model.safetensors", "latest/trainer.pt",
                 "eval/episodes.jsonl"):  # fmt: skip
        assert (run / name).exists(), name
    stages = {record["stage"] for record in read_records(run / "metrics.jsonl")}
    assert stages == {"encoder", "pretrain", "finetune"}
    events = EventAccumulator(str(run / "tensorboard")).Reload()
    assert {tag.split("/")[0] for tag in events.Tags()["scalars"]} == stages
    assert "report:" in log


def test_every_frozen_episode_is_accounted_for(demo):
    run, _ = demo
    count = json.loads((run / "config.json").read_text())["num_eval_episodes"]
    for stage in ("before", "before_greedy", "after", "after_greedy"):
        records = list(read_records(run / "eval" / f"{stage}.jsonl"))
        assert [record["episode"] for record in records] == list(range(count))
        summary = json.loads((run / "eval" / f"{stage}.summary.json").read_text())
        assert summary["success"]["k"] == sum(record["success"] for record in records)


def test_first_epoch_ratios_are_one(demo):
    run, _ = demo
    tuned = [r for r in read_records(run / "metrics.jsonl") if r["stage"] == "finetune"]
    assert max(record["first_epoch_ratio_max_error"] for record in tuned) < 1e-4


def test_a_finished_demo_resumes_to_its_end_at_once(demo):
    run, _ = demo
    before = (run / "eval" / "after.jsonl").read_bytes()
    done = flare("demo", "--resume", run, cwd=run.parent.parent)
    assert done.returncode == 0, done.stderr
    assert (run / "eval" / "after.jsonl").read_bytes() == before


def finetune_arguments(run, name, steps):
    return (
        "finetune", "--checkpoint", run / "pretrain", "--houses", run / "houses/train.jsonl.gz",
        "--runs", run.parent, "--name", name, "--total-steps", steps,
        "--world.num-envs", 8, "--collector.num-steps", 16, "--checkpoint-every", 2,
        "--num-threads", 1, "--task.sampler.target-types", "Bed", "Sofa", "Toilet",
        "--ppo.critic-warmup-steps", 256,
    )  # fmt: skip


def deterministic(path):
    return [{k: v for k, v in r.items() if k != "time"} for r in read_records(path)]


def interrupted(arguments, cwd, number):
    """Run a command and send it a signal once it has logged three iterations."""
    log = Path(arguments[arguments.index("--runs") + 1]) / "interrupted" / "metrics.jsonl"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "flare", *map(str, arguments)],
        cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not log.exists() or log.read_bytes().count(b"\n") < 3:
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()[0]
        time.sleep(0.02)
    process.send_signal(number)
    output, _ = process.communicate(timeout=120)
    return process.returncode, output


def test_an_interrupted_and_resumed_run_equals_an_uninterrupted_one(demo):
    run, _ = demo
    folder = run.parent.parent
    whole = flare(*finetune_arguments(run, "whole", 40 * 128), cwd=folder)
    assert whole.returncode == 0, whole.stderr
    code, output = interrupted(
        finetune_arguments(run, "interrupted", 40 * 128), folder, signal.SIGTERM
    )
    assert code == 130, output
    assert re.search(r"go on with: flare finetune --resume \S+", output)
    part = deterministic(run.parent / "interrupted" / "metrics.jsonl")
    assert 3 <= len(part) < 40
    done = flare("finetune", "--resume", run.parent / "interrupted", cwd=folder)
    assert done.returncode == 0, done.stderr
    expected = deterministic(run.parent / "whole" / "metrics.jsonl")
    assert deterministic(run.parent / "interrupted" / "metrics.jsonl") == expected
    weights = [run.parent / n / "latest" / "model.safetensors" for n in ("whole", "interrupted")]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_collect_pretrain_and_eval_as_commands(demo):
    run, _ = demo
    folder, houses = run.parent.parent, run / "houses" / "train.jsonl.gz"
    types = (
        "--task.names", "ObjectNav", "RoomVisit", "PickUp", "--task.sampler.target-types", "Bed",
        "Sofa", "Mug",
    )  # fmt: skip
    steps = [
        ("collect", "--houses", houses, "--out", "d.h5", "--num-episodes", 20,
         "--task.max-steps", 100, *types),
        ("pretrain", "--houses", houses, "--demonstrations", "d.h5", "--name", "il",
         "--encoder.num-views", 256, "--imitation.num-epochs", 1, "--task.max-steps", 100, *types),
        ("eval", "--checkpoint", "runs/il", "--houses", run / "houses" / "val.jsonl.gz",
         "--num-episodes", 8, *types),
        ("replay", "runs/il/eval/eval.log.jsonl", "--num-envs", 3),
    ]  # fmt: skip
    for arguments in steps:
        done = flare(*arguments, cwd=folder)
        assert done.returncode == 0, done.stdout + done.stderr
    assert "8 of 8 episodes are the same to the bit" in done.stdout
    records = list(read_records(folder / "runs/il/eval/eval.jsonl"))
    assert len(records) == 8 and len({record["task"] for record in records}) > 1


BAD = [
    (("demo", "--houses", "broken.jsonl.gz"), "broken"),
    (("finetune", "--resume", "empty"), "empty"),
    (("finetune",), "checkpoint"),
    (("eval", "--checkpoint", "empty", "--houses", "x.jsonl.gz"), "empty"),
    (("collect", "--houses", "norooms.jsonl", "--out", "o.h5"), "norooms.jsonl"),
]


@pytest.mark.parametrize(("arguments", "named"), BAD, ids=lambda value: str(value)[:40])
def test_bad_input_is_one_line_and_exit_code_two(arguments, named, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "norooms.jsonl").write_text('{"rooms": [], "walls": []}\n')
    (tmp_path / "broken.jsonl.gz").write_bytes(b"this is not gzip")
    (tmp_path / "before").mkdir()
    done = flare(*arguments, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert named in done.stderr
    assert not (tmp_path / "o.h5").exists()


def test_more_worlds_than_memory_is_refused(demo):
    run, _ = demo
    arguments = [*finetune_arguments(run, "huge", 1000)]
    arguments[arguments.index("--world.num-envs") + 1] = 10_000_000
    done = flare(*arguments, cwd=run.parent.parent)
    assert done.returncode == 2
    assert "world.num_envs" in done.stderr and "GiB" in done.stderr


def test_no_house_left_after_filtering_is_refused(demo):
    run, _ = demo
    arguments = [*finetune_arguments(run, "nothing", 1000)]
    at = arguments.index("--task.sampler.target-types")
    arguments[at : at + 4] = ["--task.sampler.target-types", "Dragon"]
    done = flare(*arguments, cwd=run.parent.parent)
    assert done.returncode == 2
    assert "target_types" in done.stderr


def test_fine_tuning_through_ai2thor_is_that_of_the_embedded_world(demo, tmp_path):
    """The same policy, seed and houses through the real client: the same metrics, bit for bit."""
    pytest.importorskip("ai2thor")
    run, _ = demo
    program = Path(sys.executable).parent / "flare-thor"
    runs = {}
    for world in ("embedded", "thor"):
        done = flare(
            "finetune", "--checkpoint", run / "pretrain", "--houses", run / "houses/train.jsonl.gz",
            "--max-houses", 2, "--runs", tmp_path, "--name", world, "--world", world,
            "--thor-executable", f"{program} --exact-crop", "--thor-base-dir", tmp_path,
            "--thor-num-spares", 1, "--world.num-envs", 2, "--ppo.num-minibatches", 2,
            "--ppo.critic-warmup-steps", 0, "--collector.num-steps", 32, "--total-steps", 192,
            cwd=tmp_path,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        runs[world] = list(read_records(tmp_path / world / "metrics.jsonl"))
    assert len(runs["thor"]) == 3
    nothing = {"failures": 0, "recycled": 0, "quarantined": [], "lost_devices": []}
    for embedded, thor in zip(runs["embedded"], runs["thor"], strict=True):
        assert thor.pop("worlds") == nothing
        del embedded["time"], thor["time"]
        assert thor == embedded


def test_evaluation_through_ai2thor_is_that_of_the_embedded_world(demo, tmp_path):
    """The same frozen episodes through the real client: the same results and the same log."""
    pytest.importorskip("ai2thor")
    run, _ = demo
    program = Path(sys.executable).parent / "flare-thor"
    for world in ("embedded", "thor"):
        done = flare(
            "eval", run / "pretrain", "--houses", run / "houses/val.jsonl.gz",
            "--episodes", tmp_path / "frozen.jsonl", "--num-episodes", 4, "--out", tmp_path,
            "--name", world, "--world", world, "--world.num-envs", 2, "--task.max-steps", 40,
            "--thor-executable", f"{program} --exact-crop", "--thor-base-dir", tmp_path,
            "--thor-num-spares", 1, cwd=tmp_path,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
    embedded, thor = (
        list(read_records(tmp_path / f"eval/{world}.jsonl")) for world in ("embedded", "thor")
    )
    assert len(embedded) == 4 and all(record.pop("stage") == "embedded" for record in embedded)
    assert all(record.pop("stage") == "thor" for record in thor)
    assert thor == embedded
    logs = [(tmp_path / f"eval/{world}.log.jsonl").read_text() for world in ("embedded", "thor")]
    assert logs[0] == logs[1]
