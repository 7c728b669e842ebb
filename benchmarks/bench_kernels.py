"""The kernels on a GPU, in one command of ten minutes: ``python -m benchmarks.bench_kernels``.

First every kernel is compared with float64; one that is wrong is not timed. Then the machine's
ceilings are measured (a large copy, a large bfloat16 product), then ours and the other ways:
medians of single calls between events, on rotating inputs that do not fit the L2, forward and
backward apart; what is bound by launches as replays of a CUDA graph too, which is how a rollout
step runs. The table stands beside the predictions of kernel_predictions.py, which were committed
before the first run. Then the whole policy: a captured rollout step and an update, by the kernels
and by PyTorch. A way of ours that fails is a failure of the run, and is in the results with its
reason; the others go on. JSON goes to ``--out`` after every workload, and to the last line that is
printed.

Without a GPU the same runs at tiny sizes in Triton's interpreter, where times mean nothing.
"""

import argparse
import contextlib
import json
import math
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")

from torch import Tensor

from benchmarks.kernel_predictions import PREDICTIONS
from benchmarks.kernel_timing import Step, Times, time_called, time_replayed
from benchmarks.kernel_workload import Workload
from benchmarks.kernel_workloads import workloads
from benchmarks.run import Case, describe_machine, git
from flare.atomic import atomic_write
from flare.kernels._launch import use_backend

CASES: list[Case] = []  # `python -m benchmarks.run` has no GPU to run these on


def error(got: Tensor, want: Tensor) -> float:
    """Distance relative to the truth's size; infinite where a number is none."""
    got, want = got.detach().double().cpu(), want.detach().double().cpu()
    if torch.isnan(got).any():
        return math.inf
    return float((got - want).norm() / max(float(want.norm()), 0.01 * want.numel() ** 0.5))


def check(work: Workload, device: torch.device) -> dict[str, dict[str, float]]:
    """Errors of ours and of the others against float64, of results and gradients."""
    torch.manual_seed(1)
    inputs = work.few(work.inputs(device, work.dtype))
    exact = [x.cpu().double() if x.is_floating_point() else x.cpu() for x in inputs]
    chosen = work.moving if work.backward else ()
    for i in chosen:
        exact[i].requires_grad_()
    truth = work.reference(*exact)
    push = torch.randn(truth.shape, dtype=torch.float64)
    slopes = torch.autograd.grad(truth, [exact[i] for i in chosen], push) if chosen else ()
    errors = {}
    for name, call in {"flare": work.ours, **work.others}.items():
        own = [x.clone().requires_grad_(i in chosen) for i, x in enumerate(inputs)]
        # A library's backend may not serve this shape; ours must.
        with contextlib.suppress(RuntimeError) if name != "flare" else contextlib.nullcontext():
            out = call(*own)
            found = {"forward": error(out, truth)}
            if chosen:
                grads = torch.autograd.grad(
                    out, [own[i] for i in chosen], push.to(out.device, out.dtype)
                )
                found["backward"] = max(error(a, b) for a, b in zip(grads, slopes, strict=True))
            errors[name] = found
    return errors


def ceilings(device: torch.device) -> dict[str, float]:
    """Bytes per second of a copy, and operations per second of a bfloat16 product."""
    if device.type != "cuda":
        return {"bytes_per_s": 1e10, "flops": 1e11}
    source = torch.randn(2**29, device=device)  # 2 GiB
    target = torch.empty_like(source)
    copy = time_called([lambda: target.copy_(source)], device, 0.1)["median"]
    a, b = (torch.randn(8192, 8192, device=device, dtype=torch.bfloat16) for _ in range(2))
    product = time_called([lambda: a @ b], device, 0.1)["median"]
    return {"bytes_per_s": 2 * 4 * 2**29 / copy * 1e6, "flops": 2 * 8192**3 / product * 1e6}


def _sets(work: Workload, device: torch.device) -> list[tuple[Tensor, ...]]:
    """At least four sets of inputs, together four times the L2, up to 12 GB."""
    first = work.inputs(device, work.dtype)
    if device.type != "cuda":
        return [first]
    size = sum(x.numel() * x.element_size() for x in first)
    l2 = torch.cuda.get_device_properties(device).L2_cache_size
    count = max(4, min(64, -(-4 * l2 // size)))
    count = max(1, min(count, int(12e9 // size)))
    return [first, *(work.inputs(device, work.dtype) for _ in range(count - 1))]


def _backward_steps(
    work: Workload, call: Callable[..., Tensor], sets: list[tuple[Tensor, ...]]
) -> list[Step]:
    """The backward pass alone, again and again over what one forward pass kept."""

    def step(inputs: tuple[Tensor, ...]) -> Step:
        own = [x.detach().requires_grad_(i in work.moving) for i, x in enumerate(inputs)]
        out = call(*own)
        push, moving = torch.randn_like(out), [own[i] for i in work.moving]
        return lambda: torch.autograd.grad(out, moving, push, retain_graph=True)

    return [step(inputs) for inputs in sets[:4]]


def _both_steps(
    work: Workload, call: Callable[..., Tensor], sets: list[tuple[Tensor, ...]]
) -> list[Step]:
    """Forward and backward as one, for a graph: nothing of autograd's outlives a call."""

    def step(inputs: tuple[Tensor, ...]) -> Step:
        own = [x.detach().requires_grad_(i in work.moving) for i, x in enumerate(inputs)]
        with torch.no_grad():
            push = torch.randn_like(call(*own))
        moving = [own[i] for i in work.moving]
        return lambda: torch.autograd.grad(call(*own), moving, push)

    return [step(inputs) for inputs in sets]


def time_call(
    work: Workload, call: Callable[..., Tensor], sets: list[tuple[Tensor, ...]],
    device: torch.device, repeat_s: float,
) -> dict[str, dict[str, Any]]:  # fmt: skip
    """Times of one way by direction; in place of a direction that failed its reason."""

    def forward() -> list[Step]:
        return [lambda x=x: call(*x) for x in sets]

    ways: dict[str, tuple[Callable[[], list[Step]], Callable[..., Times]]]
    if work.is_launch_bound:
        ways = {"forward": (forward, time_replayed), "forward called": (forward, time_called)}
        if work.backward is not None:
            ways["both"] = (lambda: _both_steps(work, call, sets), time_replayed)
            ways["backward called"] = (lambda: _backward_steps(work, call, sets), time_called)
    else:
        ways = {"forward": (forward, time_called)}
        if work.backward is not None:
            ways["backward"] = (lambda: _backward_steps(work, call, sets), time_called)
    found: dict[str, dict[str, Any]] = {}
    for direction, (steps, timed) in ways.items():
        try:
            with torch.set_grad_enabled(not direction.startswith("forward")):
                found[direction] = timed(steps(), device, repeat_s)
        except Exception as failure:  # a library's way may fail in any manner: it is then absent
            found[direction] = {"absent": _said(failure)}
    return found


def _said(failure: Exception) -> str:
    first = str(failure).strip().splitlines()
    return f"{type(failure).__name__}: {first[0] if first else ''}"[:300]


def measure(
    work: Workload, device: torch.device, limit: dict[str, float], repeat_s: float
) -> dict[str, Any]:
    """Errors, times and what they are worth, of one workload; what failed of ours with a reason."""
    result: dict[str, Any] = {"name": work.name, "times_us": {}, "worth": {}, "failed": {}}
    try:
        result["errors"] = check(work, device)
    except Exception as failure:
        return {**result, "errors": {}, "failed": {"check": _said(failure)}}
    wrong = {d: e for d, e in result["errors"]["flare"].items() if not e <= work.limits.get(d, 0.0)}
    if wrong and device.type == "cuda":
        return {**result, "failed": {d: f"wrong by {e:.1e}" for d, e in wrong.items()}}
    sets = _sets(work, device)
    for name, call in {"flare": work.ours, **work.others}.items():
        result["times_us"][name] = time_call(work, call, sets, device, repeat_s)
    for direction, times in result["times_us"]["flare"].items():
        if "absent" in times:
            result["failed"][direction] = times["absent"]
        else:
            result["worth"][direction] = worth(work, result, direction, limit)
    return result


def worth(
    work: Workload, result: dict[str, Any], direction: str, limit: dict[str, float]
) -> dict[str, Any]:
    """Rates, the share of the floor, and the ratio to the best other way, beside the prediction."""
    flops, size = work.forward
    if work.backward is not None and not direction.startswith("forward"):
        back, moved = work.backward
        is_both = direction.startswith("both")
        flops, size = (flops + back, size + moved) if is_both else (back, moved)
    times = {name: t[direction]["median"] for name, t in result["times_us"].items()
             if "median" in t.get(direction, {})}  # fmt: skip
    ours = times.pop("flare")
    floor = 1e6 * max(flops / limit["flops"], size / limit["bytes_per_s"])
    best = min(times, key=lambda name: times[name], default=None)
    predicted = PREDICTIONS.get(result["name"], {}).get(direction, (None, None))
    return {
        "us": ours, "floor_us": floor, "fraction_of_floor": floor / ours,
        "tflops": flops / ours / 1e6, "gb_per_s": size / ours / 1e3, "best_other": best,
        "ratio_to_best": times[best] / ours if best else None,
        "predicted_fraction": predicted[0], "predicted_ratio": predicted[1],
    }  # fmt: skip


HEAD = (f"{'workload':42s}{'':15s}{'us':>9s}{'floor':>9s}{'share':>7s}{'said':>6s}"
        f"{'ratio':>7s}{'said':>6s}  best other, error")  # fmt: skip


def print_result(result: dict[str, Any]) -> None:
    """One line per direction of a workload."""
    for direction, w in result["worth"].items():
        said = [f"{x:.2f}" if x else "" for x in (w["predicted_fraction"],
                                                  w["predicted_ratio"])]  # fmt: skip
        ratio = f"{w['ratio_to_best']:.2f}" if w["ratio_to_best"] else ""
        kind = "forward" if direction.startswith("forward") else "backward"
        found = f"{w['best_other']}, {result['errors']['flare'][kind]:.1e}"
        print(f"{result['name']:42s}{direction:15s}{w['us']:9.1f}{w['floor_us']:9.1f}"
              f"{w['fraction_of_floor']:7.2f}{said[0]:>6s}{ratio:>7s}{said[1]:>6s}  {found}",
              flush=True)  # fmt: skip
    for direction, reason in result["failed"].items():
        print(f"{result['name']:42s}{direction:15s} FAILED: {reason}", flush=True)


def describe(device: torch.device) -> dict[str, Any]:
    """The card and the versions."""
    found: dict[str, Any] = {"torch": torch.__version__, "device": "interpreter"}
    with contextlib.suppress(ImportError):
        import triton

        found["triton"] = triton.__version__
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        found.update(device=properties.name, cuda=torch.version.cuda,
                     memory_gb=round(properties.total_memory / 1e9, 1),
                     multiprocessors=properties.multi_processor_count)  # fmt: skip
    return found


def _workloads(run: dict[str, Any], device: torch.device, chosen: str, repeat_s: float,
               save: Callable[[], None]) -> None:  # fmt: skip
    print(HEAD)
    with use_backend("triton"):
        for work in workloads(device):
            if chosen not in work.name:
                continue
            torch.manual_seed(0)
            run["cases"].append(measure(work, device, run["ceilings"], repeat_s))
            print_result(run["cases"][-1])
            save()
            if device.type == "cuda":
                torch.cuda.empty_cache()
                torch.compiler.reset()  # it compiles one function only so often


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line chose; 1 where something of ours failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench_kernels", description=__doc__)
    parser.add_argument("--case", default="", help="only workloads whose name contains this")
    parser.add_argument("--repeat-s", type=float, default=0.1, help="seconds of each measurement")
    parser.add_argument("--out", type=Path, help="file for the JSON")
    parser.add_argument("--commit", default=git("rev-parse", "HEAD"),
                        help="of the code measured, for a copy without git")  # fmt: skip
    chosen = parser.parse_args(arguments)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    start = time.perf_counter()
    run: dict[str, Any] = {
        "bench": "kernels", "machine": describe_machine(), "gpu": describe(device),
        "commit": chosen.commit, "ceilings": ceilings(device), "cases": [], "end_to_end": [],
    }  # fmt: skip

    def save() -> None:
        run["seconds"] = time.perf_counter() - start
        if chosen.out is not None:
            chosen.out.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(chosen.out) as file:
                file.write((json.dumps(run, indent=1) + "\n").encode())

    _workloads(run, device, chosen.case, chosen.repeat_s, save)
    if device.type == "cuda" and not chosen.case:
        from benchmarks.kernel_end_to_end import measure_all  # needs the policy, not kernels alone

        for result in measure_all(device):
            run["end_to_end"].append(result)
            save()
    save()
    print(json.dumps(run))
    return 1 if any(case["failed"] for case in run["cases"]) else 0


if __name__ == "__main__":
    raise SystemExit(main())
