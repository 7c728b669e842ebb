"""``flare finetune`` as several processes: the curve of one with all worlds, and its resume."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from flare import cli
from flare.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from flare.config import to_dict
from flare.houses.files import write_houses
from flare.recipes.pretrain import make_agent
from tests.recipes.test_finetuner import TASK, WORLD
from tests.worlds.two_rooms import two_rooms


@pytest.fixture
def start(tmp_path):
    """A checkpoint to start from, and the words of a run."""
    houses = tmp_path / "houses.jsonl.gz"
    write_houses(houses, [json.loads(two_rooms())])
    agent = make_agent(WORLD, TASK, ("Sofa",), "tower")
    torch.manual_seed(0)
    checkpoint = Checkpoint(
        step=0, stage="pretrain", model=agent.build().state_dict(), policy=to_dict(agent),
        recipe={}, trainer={}, metrics={},
    )  # fmt: skip
    save_checkpoint(tmp_path / "start", checkpoint)
    return [
        "--checkpoint", tmp_path / "start", "--houses", houses, "--runs", tmp_path,
        "--num-threads", 1, "--world.num-threads", 1, "--task.max-steps", 6,
        "--task.sampler.target-types", "Sofa", "--collector.num-steps", 7, "--ppo.num-epochs", 2,
        "--ppo.critic-warmup-steps", 30, "--ppo.normalize-advantages",
        "--ppo.actor-learning-rate", 1e-3, "--ppo.critic-learning-rate", 1e-3,
    ]  # fmt: skip


def launch(num_processes, words):
    """A fine-tuning of several processes, as torchrun starts them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = []
    for rank in range(num_processes):
        names = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": num_processes,
                 "LOCAL_WORLD_SIZE": num_processes, "MASTER_ADDR": "127.0.0.1",
                 "MASTER_PORT": port, "OMP_NUM_THREADS": 1}  # fmt: skip
        processes.append(
            subprocess.Popen(
                [sys.executable, "-m", "flare", "finetune", *map(str, words)],
                env=os.environ | {k: str(v) for k, v in names.items()},
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            )
        )  # fmt: skip
    return processes


def finish(processes, code=0):
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    codes = [process.returncode for process in processes]
    assert codes == [code] * len(processes), "\n".join(outputs)
    return outputs


def curve(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def numbers(record):
    return {k: v for k, v in record.items() if k not in ("time", "stage") and v is not None}


def test_two_processes_are_one_with_twice_the_worlds(start, tmp_path):
    words = [*start, "--total-steps", 8 * 7 * 4]
    both = launch(2, [*words, "--name", "two", "--world.num-envs", 4])
    (one,) = finish(launch(1, [*words, "--name", "one", "--world.num-envs", 8]))
    outputs = finish(both)
    assert "finetune" in one and "saved" in outputs[0] and outputs[1] == ""
    pairs = list(zip(curve(tmp_path / "one"), curve(tmp_path / "two"), strict=True))
    assert len(pairs) == 4
    for ours, theirs in pairs:
        assert numbers(ours).keys() == numbers(theirs).keys()
        for name, value in numbers(ours).items():
            assert numbers(theirs)[name] == pytest.approx(value, rel=1e-3, abs=1e-5), name
    logs = [
        (tmp_path / name / "episodes.jsonl").read_text().splitlines() for name in ("one", "two")
    ]
    assert sorted(logs[0]) == sorted(logs[1])
    weights = [load_checkpoint(tmp_path / name).model for name in ("one", "two")]
    for name, tensor in weights[0].items():
        torch.testing.assert_close(weights[1][name], tensor, rtol=1e-3, atol=1e-4)


def test_several_processes_stop_together_and_go_on_as_if_they_had_not(start, tmp_path):
    words = [*start, "--world.num-envs", 2, "--total-steps", 2 * 2 * 7 * 30]
    whole = launch(2, [*words, "--name", "whole"])
    cut = launch(2, [*words, "--name", "cut"])
    lines = tmp_path / "cut" / "metrics.jsonl"
    limit = time.monotonic() + 100
    while not lines.exists() or len(lines.read_text().splitlines()) < 3:
        assert time.monotonic() < limit and cut[0].poll() is None
        time.sleep(0.02)
    cut[1].send_signal(signal.SIGTERM)  # one of them is told
    finish(cut, 130)
    assert 3 <= len(curve(tmp_path / "cut")) < 30
    finish(launch(2, ["--resume", tmp_path / "cut"]))
    finish(whole)
    found, wanted = (
        [numbers(record) for record in curve(tmp_path / name)] for name in ("cut", "whole")
    )
    assert found == wanted
    ours, theirs = (load_checkpoint(tmp_path / name).model for name in ("cut", "whole"))
    assert all(torch.equal(ours[name], tensor) for name, tensor in theirs.items())
    (output,) = finish(launch(1, ["--resume", tmp_path / "cut"]), 2)
    assert "was not saved by 1 processes" in output


def _ranks_of(agent):
    """Process ids of the trainers that a torchrun has started."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError, IndexError):
            parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            if parent == agent.pid and b"flare" in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return found


def test_torchrun_starts_again_from_the_last_checkpoint_when_a_process_dies(start, tmp_path):
    words = [*start, "--world.num-envs", 2, "--total-steps", 2 * 2 * 7 * 20]
    words += ["--checkpoint-every", 5]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2",
                "--max-restarts", "1", "--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0",
                "-m", "flare", "finetune"]  # fmt: skip
    run = subprocess.Popen([*torchrun, *map(str, [*words, "--name", "killed"])],
                           env=os.environ | {"OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True)  # fmt: skip
    lines = tmp_path / "killed" / "metrics.jsonl"
    limit = time.monotonic() + 100
    while not lines.exists() or len(lines.read_text().splitlines()) < 7:
        assert time.monotonic() < limit and run.poll() is None, run.communicate()[0]
        time.sleep(0.02)
    os.kill(_ranks_of(run)[1], signal.SIGKILL)
    finish([run])
    finish(launch(2, [*words, "--name", "whole"]))
    found, wanted = (
        [numbers(record) for record in curve(tmp_path / name)] for name in ("killed", "whole")
    )
    assert found == wanted


def test_a_restart_without_a_name_says_what_to_do(start, monkeypatch, capsys):
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    assert cli.main(["finetune", *map(str, start)]) == 2
    assert "give --name, or start again with --resume RUN" in capsys.readouterr().err
