import shutil
import sys
from types import SimpleNamespace

import pytest

from flare import doctor
from flare.doctor import DoctorConfig, examine, run_doctor


@pytest.fixture
def core_present(monkeypatch):
    monkeypatch.setattr(doctor.importlib, "import_module", lambda name: None)


def findings(tmp_path):
    return {finding.name: finding for finding in examine(DoctorConfig(folder=tmp_path))}


def test_a_machine_that_runs_the_tests_is_well(core_present, tmp_path, capsys):
    assert run_doctor(DoctorConfig(folder=tmp_path / "not" / "yet")) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "all well"
    assert [line[9:22].strip() for line in lines[:-1]] == [
        "python",
        "flare",
        "core",
        "torch",
        "gpu",
        "triton",
        "tensorboard",
        "cores",
        "memory",
        "shared memory",
        "disk",
        "open files",
        "ai2thor",
    ]


def test_each_problem_has_a_mend_and_the_code_is_1(tmp_path, monkeypatch, capsys):
    def missing(name):
        raise ImportError("no _core")

    monkeypatch.setattr(doctor.importlib, "import_module", missing)
    full = shutil._ntuple_diskusage(10**9, 10**9, 1000)
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: full)
    assert run_doctor(DoctorConfig(folder=tmp_path)) == 1
    out = capsys.readouterr().out
    assert "PROBLEM  core          does not load (no _core). Mend: run pip install" in out
    assert "note     shared memory /dev/shm 0.00 GiB free" in out
    assert "PROBLEM  disk" in out
    assert out.endswith("2 problems\n")


def test_optional_parts_are_notes(core_present, tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "_version", lambda package: None)
    found = findings(tmp_path)
    assert (found["ai2thor"].verdict, found["triton"].verdict) == ("note", "note")
    assert found["gpu"].found == "unknown without torch"
    assert "flare-rl[thor]" in found["ai2thor"].mend


def test_present_parts_show_their_version(core_present, tmp_path, monkeypatch):
    cuda = SimpleNamespace(
        is_available=lambda: True, device_count=lambda: 2, get_device_name=lambda i: f"card {i}"
    )
    torch = SimpleNamespace(__version__="9", get_num_threads=lambda: 1, cuda=cuda)
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setattr(doctor, "_version", lambda package: "1.2")
    found = findings(tmp_path)
    assert found["gpu"].found == "card 0, card 1"
    assert found["triton"].found == found["ai2thor"].found == "1.2"
    assert found["torch"].found == "9, 1 threads"


def test_little_memory_is_a_note(core_present, tmp_path, monkeypatch):
    monkeypatch.setattr(doctor.os, "sysconf", lambda name: 2**15)
    assert "--num-envs" in findings(tmp_path)["memory"].mend
