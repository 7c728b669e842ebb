"""A demo that is stopped again and again, at every stage, ends like one that was left alone."""

import multiprocessing
import os
import random
import re
import signal
import sys
import time

import pytest

from flare.metrics import read_records

pytestmark = pytest.mark.slow

SMALL = (
    "demo", "--num-train-houses", 4, "--num-val-houses", 2, "--num-demonstrations", 12,
    "--num-eval-episodes", 4, "--num-envs", 4, "--finetune-steps", 320, "--num-threads", 1,
    "--encoder.num-views", 128, "--encoder.batch-size", 32, "--imitation.num-epochs", 2,
    "--collector.num-steps", 16, "--ppo.critic-warmup-steps", 128,
    "--ppo.critic-warmup-max-steps", 0,
)  # fmt: skip
# What shows that a stage begins: the result of the one before, a file of the run or in the log.
STAGES = {
    "houses": "config.json",
    "demonstrations": "houses/val.jsonl.gz",
    "encoder": re.compile("demonstrations: took"),
    "imitation": re.compile("image encoder: took"),
    "evaluation": "pretrain/latest",
    "finetune": "eval/before_greedy.summary.json",
    "evaluation after": "latest",
    "report": "eval/after_greedy.summary.json",
}


def command(arguments, log):
    """Run the command line in a process of its own session, its output in ``log``."""
    from flare import cli

    os.setsid()
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    sys.exit(cli.main([str(each) for each in arguments]))


@pytest.fixture(scope="module")
def started():
    """Starts the command in a process forked from one that has imported everything."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["flare.recipes.demo", "flare.cli"])

    def start(arguments, log):
        process = context.Process(target=command, args=(arguments, str(log)))
        process.start()
        return process

    return start


def has_begun(stage, run, log):
    """Whether the command handles signals already and the stage's sign is there."""
    text = log.read_text() if log.exists() else ""
    if "flare demo\n" not in text:
        return False
    sign = STAGES[stage]
    return (run / sign).exists() if isinstance(sign, str) else sign.search(text) is not None


def finish(process, log):
    process.join(300)
    assert process.exitcode is not None, log.read_text()
    return process.exitcode, log.read_text()


def result(run):
    """All that a run's seed and configuration decide."""
    records = [
        {k: v for k, v in r.items() if k != "time"} for r in read_records(run / "metrics.jsonl")
    ]
    names = ("episodes.jsonl", "eval/before.jsonl", "eval/before_greedy.jsonl", "eval/after.jsonl",
             "eval/after_greedy.jsonl", "eval/episodes.jsonl", "houses/train.jsonl.gz",
             "latest/model.safetensors", "pretrain/latest/model.safetensors")  # fmt: skip
    return records, {name: (run / name).read_bytes() for name in names}


@pytest.fixture(scope="module")
def undisturbed(started, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    log = folder / "log"
    process = started((*SMALL, "--runs", folder, "--name", "a"), log)
    code, text = finish(process, log)
    assert code == 0, text
    return result(folder / "a")


def interrupted(started, folder, number, whole_group, stages):
    """Start, stop soon after each stage's beginning, resume; what became of each attempt."""
    run, delays, ends = folder / "a", random.Random(number), []
    arguments = (*SMALL, "--runs", folder, "--name", "a")
    for stage in stages:
        log = folder / f"log of {stage}"
        process = started(arguments, log)
        while process.is_alive() and not has_begun(stage, run, log):
            time.sleep(0.005)
        if process.is_alive():
            time.sleep(delays.uniform(0.0, 0.15))
            (os.killpg if whole_group else os.kill)(process.pid, number)
        ends.append(finish(process, log))
        arguments = ("demo", "--resume", run)
    process = started(arguments, folder / "log")
    return ends, finish(process, folder / "log")


@pytest.mark.parametrize(
    ("number", "whole_group", "stages"),
    [
        (signal.SIGTERM, False, list(STAGES)),
        (signal.SIGINT, True, ["houses", "encoder", "finetune"]),
        (signal.SIGKILL, True, ["houses", "imitation", "finetune", "evaluation after"]),
    ],
    ids=["SIGTERM", "Ctrl-C", "SIGKILL"],
)
def test_stopped_at_every_stage_and_resumed(
    number, whole_group, stages, started, undisturbed, tmp_path
):
    ends, (code, text) = interrupted(started, tmp_path, number, whole_group, stages)
    assert code == 0, text
    # The report, the last stage, is written to its end; so may be what ends within the delay.
    stopped = [end for end in ends if end[0] != 0]
    assert len(stopped) >= len(stages) - 2
    for code, text in stopped:
        assert "Traceback" not in text
        if number == signal.SIGKILL:
            assert code == -signal.SIGKILL
        else:
            assert code == 130, text
            assert f"go on with: flare demo --resume {tmp_path / 'a'}" in text
    assert result(tmp_path / "a") == undisturbed
    assert number == signal.SIGKILL or not list(tmp_path.rglob("*.tmp"))
