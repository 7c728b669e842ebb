"""What TensorBoard's own reader finds in the events of a run."""

import errno
import importlib.util
import os
import subprocess
import sys

import pytest
from tensorboard.backend.event_processing import event_accumulator as accumulator
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from flare import tensorboard
from flare.errors import UserError
from flare.metrics import MetricsLog, read_records


def record(iteration, stage="finetune", **more):
    return {"stage": stage, "iteration": iteration, "step": iteration * 10, **more}


def scalars(folder):
    """{tag: [(step, value), …]} as TensorBoard reads it."""
    reader = accumulator.EventAccumulator(str(folder), size_guidance={accumulator.SCALARS: 0})
    reader.Reload()
    return {
        tag: [(event.step, event.value) for event in reader.Scalars(tag)]
        for tag in reader.Tags()["scalars"]
    }


def steps_in_file(folder):
    """Steps of all events that stand in the folder's files, also of those a reader would drop."""
    return [
        event.step
        for file in sorted(folder.iterdir())
        for event in EventFileLoader(str(file)).Load()
        if event.HasField("summary")
    ]


@pytest.fixture
def paths(tmp_path):
    return tmp_path / "metrics.jsonl", tmp_path / "tensorboard"


def test_every_number_of_a_record_is_a_scalar_of_its_stage(paths):
    metrics, events = paths
    with MetricsLog(metrics, events=events) as log:
        log.append(record(1, "pretrain", loss=0.5, note="text", flag=True, unknown=float("nan")))
        log.append(record(1, success_rate=0.25, time={"sps": 100.0, "split": {"infer": 0.5}}))
        # No need to close: what is appended can be seen.
        assert scalars(events) == {
            "pretrain/loss": [(10, 0.5)],
            "finetune/success_rate": [(10, 0.25)],
            "finetune/time/sps": [(10, 100.0)],
            "finetune/time/split/infer": [(10, 0.5)],
        }


def test_the_wall_time_is_that_of_the_record(paths):
    metrics, events = paths
    with MetricsLog(metrics, events=events) as log:
        log.append(record(1, loss=1.0))
    MetricsLog(metrics, events=events).close()  # written anew, later
    reader = accumulator.EventAccumulator(str(events))
    reader.Reload()
    (written,) = read_records(metrics)
    assert reader.Scalars("finetune/loss")[0].wall_time == written["time"]["unix"]


def test_a_resumed_run_has_every_step_once(paths):
    metrics, events = paths
    with MetricsLog(metrics, events=events) as log:
        log.append(record(7, "pretrain", loss=3.0))
        for iteration in (1, 2, 3):
            log.append(record(iteration, loss=1.0 / iteration))
    with MetricsLog.resume(metrics, stage="finetune", iteration=1, events=events) as log:
        for iteration in (2, 3, 4):
            log.append(record(iteration, loss=1.0 / iteration))
    assert steps_in_file(events) == [70, 10, 20, 30, 40]
    assert scalars(events)["pretrain/loss"] == [(70, 3.0)]
    assert scalars(events)["finetune/loss"] == [
        (10, 1.0), (20, 0.5), (30, pytest.approx(1 / 3)), (40, 0.25)
    ]  # fmt: skip


def test_a_reader_at_work_follows_a_resumed_run(paths):
    metrics, events = paths
    with MetricsLog(metrics, events=events) as log:
        for iteration in (1, 2):
            log.append(record(iteration, loss=float(iteration)))
        reader = accumulator.EventAccumulator(str(events))
        reader.Reload()
    with MetricsLog.resume(metrics, stage="finetune", iteration=1, events=events) as log:
        log.append(record(2, loss=5.0))
        reader.Reload()
    assert [(e.step, e.value) for e in reader.Scalars("finetune/loss")] == [(10, 1.0), (20, 5.0)]


def test_events_begin_when_the_package_is_there(paths, monkeypatch):
    metrics, events = paths
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with MetricsLog(metrics, events=events) as log:
        log.append(record(1, loss=1.0))
    assert not events.exists()
    said = []
    tensorboard.tell_if_missing(said.append)
    assert said == [tensorboard.HOW_TO_GET]
    monkeypatch.undo()
    tensorboard.tell_if_missing(said.append)
    assert len(said) == 1
    MetricsLog(metrics, events=events).close()
    assert scalars(events) == {"finetune/loss": [(10, 1.0)]}


def test_metrics_work_on_a_machine_without_the_package(tmp_path):
    program = (
        "import sys; sys.modules['tensorboard'] = None\n"
        "from flare.metrics import MetricsLog\n"
        "with MetricsLog('m.jsonl', events='tb') as log:\n"
        "    log.append({'stage': 'finetune', 'iteration': 1, 'step': 1})\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)
    assert not (tmp_path / "tb").exists()


def test_full_disk_is_a_user_error(paths):
    _, events = paths
    file = tensorboard.EventFile(events, [])
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, file._file.fileno())
    os.close(full)
    with pytest.raises(UserError, match="the disk is full"):
        file.append(record(1, loss=1.0))
    with pytest.raises(OSError) as caught:
        file.close()
    assert caught.value.errno == errno.ENOSPC
