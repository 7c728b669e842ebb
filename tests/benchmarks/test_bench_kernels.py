"""The benchmark of the kernels runs to its end, and says what failed, also where ours does.

Without a GPU it runs at tiny sizes in Triton's interpreter: the same path but for the graphs.
"""

import json
from dataclasses import replace

import pytest
import torch

from benchmarks import bench_kernels, tune_kernels
from benchmarks.kernel_predictions import PREDICTIONS
from benchmarks.kernel_workloads import workloads

CPU = torch.device("cpu")
SMALL = "add_rmsnorm"


def run(tmp_path, *arguments):
    out = tmp_path / "results" / "kernels.json"
    code = bench_kernels.main(["--out", str(out), "--commit", "abc123", *arguments])
    return code, json.loads(out.read_text())


@pytest.fixture
def on_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def test_every_workload_has_times_in_every_direction(on_cpu, tmp_path, capsys):
    code, found = run(tmp_path)
    assert code == 0 and found["commit"] == "abc123"
    assert [case["name"] for case in found["cases"]] == [work.name for work in workloads(CPU)]
    for case, work in zip(found["cases"], workloads(CPU), strict=True):
        wanted = {"forward", "forward called"} if work.is_launch_bound else {"forward"}
        if work.backward is not None:
            wanted |= {"both", "backward called"} if work.is_launch_bound else {"backward"}
        assert set(case["worth"]) == wanted and not case["failed"]
        assert all(w["us"] > 0 and w["ratio_to_best"] > 0 for w in case["worth"].values())
        assert max(case["errors"]["flare"].values()) < 0.02
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["cases"] == found["cases"]


def broken(*inputs):
    raise RuntimeError("operation not permitted when stream is capturing")


def test_a_failure_of_ours_is_said_and_stops_nothing(on_cpu, tmp_path, monkeypatch, capsys):
    def with_one_broken(device):
        first, second = [w for w in workloads(device) if SMALL in w.name or "swiglu" in w.name]
        yield replace(first, ours=broken)
        yield replace(second, others={**second.others, "library": broken})

    monkeypatch.setattr(bench_kernels, "workloads", with_one_broken)
    code, found = run(tmp_path)
    assert code == 1
    assert "stream is capturing" in found["cases"][0]["failed"]["check"]
    assert "FAILED: RuntimeError: operation not permitted" in capsys.readouterr().out
    # A library that cannot do it is absent, which fails nothing.
    assert found["cases"][1]["failed"] == {} and found["cases"][1]["worth"]
    assert "absent" in found["cases"][1]["times_us"]["library"]["forward"]


def test_a_backward_pass_of_ours_that_fails_leaves_the_forward_pass(on_cpu, tmp_path, monkeypatch):
    class Fails(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, grad):
            raise RuntimeError("no backward pass")

    work = next(w for w in workloads(CPU) if SMALL in w.name)
    ours = work.ours
    calls = iter([ours])  # right while it is checked, broken when it is timed

    def later(a, *rest):
        return next(calls, lambda *x: Fails.apply(ours(*x)))(a, *rest)

    monkeypatch.setattr(bench_kernels, "workloads", lambda _: [replace(work, ours=later)])
    code, found = run(tmp_path)
    assert code == 1
    (case,) = found["cases"]
    assert set(case["worth"]) == {"forward", "forward called"}
    assert set(case["failed"]) == {"both", "backward called"}
    assert "no backward pass" in case["failed"]["both"]


def test_predictions_name_workloads_and_directions_that_are_measured():
    directions = {}
    with pytest.MonkeyPatch.context() as patch:
        for module in ("attention_workloads", "row_workloads", "kernel_workloads"):
            patch.setattr(f"benchmarks.{module}.is_gpu", lambda device: True)
            patch.setattr(f"benchmarks.{module}.compiled", lambda call: call)
        for work in workloads(CPU):
            kinds = {"forward", "forward called", "both", "backward called"}
            directions[work.name] = kinds if work.is_launch_bound else {"forward", "backward"}
    assert set(PREDICTIONS) == set(directions)
    assert all(set(said) <= directions[name] for name, said in PREDICTIONS.items())


def test_candidates_are_timed_and_written(tmp_path, monkeypatch, capsys):
    if tune_kernels.DEVICE.type == "cuda":
        pytest.skip("on a GPU this takes minutes")
    out = tmp_path / "tune.json"
    monkeypatch.setattr("sys.argv", ["tune_kernels", "--case", "episodes", "--out", str(out)])
    assert tune_kernels.main() == 0
    cases = json.loads(out.read_text())["cases"]
    assert {case["kernel"] for case in cases} == {
        "attention_fwd_kernel", "attention_dq_kernel", "attention_dkv_kernel"
    }  # fmt: skip
    assert all(case["us"] > 0 for case in cases)
    assert sum(case["is_own"] for case in cases) == 3
