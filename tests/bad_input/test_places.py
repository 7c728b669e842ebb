"""Places that may not be read or written to, and disks that are full."""

import resource
import subprocess
import sys

import pytest

from tests.bad_input.refusal import SMALL, TYPES, files, permissions_count, refused


@pytest.mark.parametrize(
    "line",
    [
        "houses check closed.jsonl",
        "collect --houses closed.jsonl --out o.h5",
        "finetune --houses closed.jsonl --checkpoint rl --runs o",
        "demo --config closed.jsonl",
        f"pretrain --houses train.jsonl.gz --demonstrations closed.jsonl {' '.join(TYPES)}",
    ],
)
def test_files_that_may_not_be_read(line, here, capsys):
    (here / "closed.jsonl").write_text("{}\n")
    (here / "closed.jsonl").chmod(0)
    with permissions_count():
        refused(line, capsys, named="closed.jsonl")


@pytest.mark.parametrize(
    "line",
    [
        "houses generate --train 1 --val 0 --test 0 --num-workers 1 --out shut",
        "houses generate --train 1 --val 0 --test 0 --num-workers 1 --out shut/x",
        "houses show train.jsonl.gz --out shut/o.png",
        f"collect --houses train.jsonl.gz --num-episodes 2 --out shut/o.h5 {' '.join(SMALL)}",
        f"pretrain --houses train.jsonl.gz --demonstrations d.h5 --runs shut {' '.join(TYPES)}",
        "finetune --houses train.jsonl.gz --checkpoint il --runs shut",
        "eval --houses train.jsonl.gz --checkpoint il --out shut",
        "demo --quick --runs shut",
    ],
)
def test_folders_that_may_not_be_written_to(line, here, capsys):
    (here / "shut").mkdir()
    (here / "shut").chmod(0o500)
    with permissions_count():
        refused(line, capsys, named="shut")


@pytest.mark.parametrize(
    ("line", "limit"),
    [
        ("houses generate --train 40 --val 0 --test 0 --num-workers 1 --out o", 6_000),
        ("houses show train.jsonl.gz --out o.png", 6_000),
        (f"collect --houses train.jsonl.gz --num-episodes 4 --out o.h5 {' '.join(TYPES)}", 6_000),
        ("finetune --houses train.jsonl.gz --checkpoint il --runs o --collector.num-steps 8"
         f" --total-steps 16 --ppo.num-epochs 1 {' '.join((*SMALL, *TYPES))}", 1_000_000),
    ],
    ids=["generate", "show", "collect", "finetune"],
)  # fmt: skip
def test_files_that_do_not_fit(line, limit, here):
    """As on a full disk: no file may grow beyond ``limit`` bytes."""
    done = subprocess.run(
        [sys.executable, "-m", "flare", *line.split()],
        capture_output=True, text=True, timeout=120, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1, done.stderr
    assert "larger than this process may write" in done.stderr
    # What was whole before stays, such as a run's metrics; of the file itself there is nothing.
    assert not [name for name in files(here) if name.endswith((".tmp", ".png", ".safetensors"))]
    assert not (here / "o.h5").exists() and not (here / "o").joinpath("train.jsonl.gz").exists()
