import errno
import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flare import metrics
from flare.errors import UserError
from flare.metrics import (
    EpisodeLog,
    JsonLines,
    MetricsLog,
    SuccessWindow,
    read_records,
    wilson_interval,
)


def record(iteration, stage="finetune", **more):
    return {"stage": stage, "iteration": iteration, "step": iteration * 10, **more}


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """The wall clock stands still at second 1."""
    monkeypatch.setattr(metrics.time, "time", lambda: 1.0)


NOW = {"unix": 1.0}


def test_records_are_read_back(tmp_path):
    path = tmp_path / "metrics.jsonl"
    with MetricsLog(path) as log:
        log.append(record(1, **{"loss/value": np.float32(0.5), "bad": math.nan}))
        log.append(record(2, time={"sps": 10.0}, counts=np.arange(3)))
        assert log.num_lines == 2
    assert list(read_records(path)) == [
        record(1, **{"loss/value": 0.5, "bad": None}, time=NOW),
        record(2, time={"sps": 10.0, **NOW}, counts=[0, 1, 2]),
    ]


def test_each_metrics_record_is_in_the_file_when_append_returns(tmp_path):
    path = tmp_path / "metrics.jsonl"
    log = MetricsLog(path)
    log.append(record(1))
    assert len(list(read_records(path))) == 1
    log.close()
    log.close()


def test_full_disk_is_a_user_error(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "full")

    log = MetricsLog(tmp_path / "metrics.jsonl")
    monkeypatch.setattr(metrics.os, "fsync", full)
    with pytest.raises(UserError, match="the disk is full"):
        log.append(record(1))
    monkeypatch.undo()
    log.close()


def test_metrics_record_needs_its_keys(tmp_path):
    with (
        MetricsLog(tmp_path / "metrics.jsonl") as log,
        pytest.raises(ValueError, match="iteration, step"),
    ):
        log.append({"stage": "finetune"})


def test_unfinished_last_line_is_ignored_and_then_cut(tmp_path):
    path = tmp_path / "episodes.jsonl"
    path.write_bytes(b'{"episode": 0}\n{"episode": 1}\n{"epis')
    assert [line["episode"] for line in read_records(path)] == [0, 1]
    with EpisodeLog(path) as log:
        assert log.num_lines == 2
        log.extend([{"episode": 1.5}, {"episode": 2}])
    assert [line["episode"] for line in read_records(path)] == [0, 1, 1.5, 2]


def test_keep_lines_cuts_what_a_resumed_run_writes_again(tmp_path):
    path = tmp_path / "episodes.jsonl"
    with EpisodeLog(path) as log:
        log.extend({"episode": index} for index in range(5))
    with EpisodeLog(path, keep_lines=3) as log:
        log.append({"episode": "again"})
    assert [line["episode"] for line in read_records(path)] == [0, 1, 2, "again"]


def test_more_lines_to_keep_than_there_are_is_a_user_error(tmp_path):
    with pytest.raises(UserError, match="0 lines where the checkpoint knows 3"):
        JsonLines(tmp_path / "episodes.jsonl", keep_lines=3)


def test_resume_cuts_later_iterations_of_the_stage_and_all_after(tmp_path):
    path = tmp_path / "metrics.jsonl"
    with MetricsLog(path) as log:
        for each in (record(9, "pretrain"), record(1), record(2), record(3), record(1, "eval")):
            log.append(each)
    before = path.read_bytes()
    with MetricsLog.resume(path, stage="finetune", iteration=2) as log:
        log.append(record(3))
        log.append(record(1, "eval"))
    assert path.read_bytes() == before


def test_resume_without_a_file_starts_one(tmp_path):
    with MetricsLog.resume(tmp_path / "m.jsonl", stage="finetune", iteration=2) as log:
        assert log.num_lines == 0


def test_killed_writer_leaves_complete_lines(tmp_path):
    path = tmp_path / "metrics.jsonl"
    program = (
        "import os, signal, sys\n"
        "from flare.metrics import MetricsLog\n"
        "log = MetricsLog(sys.argv[1])\n"
        "for i in range(3): log.append({'stage': 's', 'iteration': i, 'step': i})\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", program, path], check=False, env=dict(os.environ))
    assert [line["iteration"] for line in read_records(path)] == [0, 1, 2]


def test_damaged_line_and_missing_file_are_user_errors(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"a": 1}\nnonsense\n{"a": 2}\n')
    with pytest.raises(UserError, match="line 2: not JSON"):
        list(read_records(path))
    with pytest.raises(UserError, match="cannot read"):
        list(read_records(tmp_path / "none"))


def test_lines_are_strict_json(tmp_path):
    path = tmp_path / "metrics.jsonl"
    with JsonLines(path) as log:
        log.append({"x": math.inf, "y": [math.nan, 1.0]})

    def refuse(constant):
        raise AssertionError(constant)

    assert json.loads(path.read_text(), parse_constant=refuse) == {"x": None, "y": [None, 1.0]}


def test_window_keeps_the_last_episodes():
    window = SuccessWindow(3)
    assert (window.count, window.interval()[1:]) == (0, (0.0, 1.0))
    assert math.isnan(window.rate)
    for success in (True, True, False, False):
        window.add(success)
    assert (window.count, window.rate) == (3, pytest.approx(1 / 3))
    assert window.interval() == (window.rate, *wilson_interval(1, 3))
    copy = SuccessWindow(3)
    copy.load_state_dict(json.loads(json.dumps(window.state_dict())))
    copy.add(True)
    window.add(True)
    assert copy.rate == window.rate == pytest.approx(1 / 3)
    with pytest.raises(ValueError, match="at least one"):
        SuccessWindow(0)


def test_wilson_interval_against_published_numbers():
    # 10 of 20: centre 0.5, half = 1.96/1.19207 * sqrt(0.0125 + 0.0024010) = 0.200705
    assert wilson_interval(10, 20) == pytest.approx((0.299298, 0.700702), abs=1e-5)
    assert wilson_interval(0, 10)[0] == 0.0
    assert wilson_interval(10, 10)[1] == 1.0


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_interval_holds_the_rate_and_mirrors(case):
    successes, count = case
    low, high = wilson_interval(successes, count)
    assert 0 <= low <= successes / count + 1e-12
    assert successes / count - 1e-12 <= high <= 1
    mirrored = wilson_interval(count - successes, count)
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=1e-12)
