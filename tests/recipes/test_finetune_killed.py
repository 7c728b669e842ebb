"""A fine-tuning that is killed at random moments, again and again."""

import contextlib
import json
import multiprocessing
import shutil
import sys
import time

import numpy as np
import torch

from flare import cli
from flare.checkpoint import load_checkpoint
from tests.recipes.test_finetune import curve, numbers, start  # noqa: F401 - a fixture

# Children come from a process that has imported everything: a kill costs no start of Python.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["flare.recipes.finetune", "flare.cli"])
KILLS = 6


def train(words):
    torch.set_num_threads(1)
    sys.exit(cli.main(words))


def run(words):
    process = FORKS.Process(target=train, args=([str(word) for word in words],))
    process.start()
    return process


def test_kills_lose_no_checkpoint_and_no_bit(start, tmp_path):  # noqa: F811
    words = ["finetune", *start, "--world.num-envs", 2, "--total-steps", 2 * 7 * 80]
    words += ["--checkpoint-every", 1]
    whole = run([*words, "--name", "whole"])
    whole.join(120)
    assert whole.exitcode == 0
    rng, folder, kills, newest = np.random.default_rng(7), tmp_path / "killed", 0, -1
    while kills < KILLS:
        is_begun = (folder / "latest").exists()
        if not is_begun:
            shutil.rmtree(folder, ignore_errors=True)
        process = run(
            ["finetune", "--resume", folder] if is_begun else [*words, "--name", "killed"]
        )
        # From its first line on, so that kills fall into training and saving, not into imports.
        wait_for_more(folder, process)
        time.sleep(rng.uniform(0.0, 0.25))
        if not process.is_alive():
            break  # done before the last of them
        process.kill()
        process.join()
        kills += 1
        if (folder / "latest").exists():
            step = load_checkpoint(folder).step
            assert step >= newest, "a checkpoint was lost"
            newest = step
    assert kills >= KILLS // 2 and newest > 0
    last = run(["finetune", "--resume", folder])
    last.join(120)
    assert last.exitcode == 0
    found, wanted = ([numbers(r) for r in curve(tmp_path / n)] for n in ("killed", "whole"))
    assert found == wanted
    ours, theirs = (load_checkpoint(tmp_path / n).model for n in ("killed", "whole"))
    assert all(torch.equal(ours[name], tensor) for name, tensor in theirs.items())


def wait_for_more(folder, process):
    """Sleep until the run has logged another iteration, or ended."""
    before, limit = count(folder), time.monotonic() + 60
    while process.is_alive() and count(folder) == before:
        assert time.monotonic() < limit
        time.sleep(0.005)


def count(folder):
    with contextlib.suppress(FileNotFoundError):
        return sum(
            json.loads(line)["iteration"] > 0
            for line in (folder / "metrics.jsonl").read_text().splitlines(keepends=True)
            if line.endswith("\n")
        )
    return 0
