"""The kernels on a GPU, in one command of ten minutes: ``python -m benchmarks.bench_kernels``.

First every kernel is compared with float64; one that is wrong is not timed. Then the machine's
ceilings are measured (a large copy, a large bfloat16 product), then ours and the other ways in
turns: medians of single calls between events, on rotating inputs that do not fit the L2, forward
and backward apart, what is bound by launches as replays of a CUDA graph. The table stands beside
the predictions of kernel_predictions.py, which were committed before the first run. Then the whole
policy: a captured rollout step and an update, by the kernels and by PyTorch. JSON goes to ``--out``
and to the last line that is printed.

Without a GPU the same runs at tiny sizes in Triton's interpreter, where times mean nothing.
"""

import argparse
import contextlib
import json
import math
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")

from torch import Tensor

from benchmarks.kernel_predictions import PREDICTIONS
from benchmarks.kernel_workloads import Workload, workloads
from benchmarks.run import Case, describe_machine, git
from flare.kernels._launch import use_backend

CASES: list[Case] = []  # `python -m benchmarks.run` has no GPU to run these on

Step = Callable[[], object]


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
        with contextlib.suppress(RuntimeError):  # a library's backend may not serve this shape
            out = call(*own)
            found = {"forward": error(out, truth)}
            if chosen:
                grads = torch.autograd.grad(
                    out, [own[i] for i in chosen], push.to(out.device, out.dtype)
                )
                found["backward"] = max(error(a, b) for a, b in zip(grads, slopes, strict=True))
            errors[name] = found
    return errors


def time_us(steps: list[Step], device: torch.device, repeat_s: float) -> dict[str, float]:
    """Median and spread of one call, us; the steps take turns."""
    if device.type != "cuda":
        start = time.perf_counter()
        steps[0]()
        return {"median": (time.perf_counter() - start) * 1e6, "spread": 0.0, "calls": 1}
    for step in steps:
        step()
    torch.cuda.synchronize()
    start = time.perf_counter()
    while time.perf_counter() - start < 0.025:
        steps[0]()
        torch.cuda.synchronize()
    samples: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []
    start = time.perf_counter()
    while time.perf_counter() - start < repeat_s or len(samples) < 12:
        for step in steps:
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            step()
            end.record()
            samples.append((begin, end))
        torch.cuda.synchronize()
    times = [1e3 * begin.elapsed_time(end) for begin, end in samples]
    cuts = statistics.quantiles(times, n=5)
    return {"median": statistics.median(times), "spread": cuts[3] - cuts[0], "calls": len(times)}


def ceilings(device: torch.device) -> dict[str, float]:
    """Bytes per second of a copy, and operations per second of a bfloat16 product."""
    if device.type != "cuda":
        return {"bytes_per_s": 1e10, "flops": 1e11}
    source = torch.randn(2**29, device=device)  # 2 GiB
    target = torch.empty_like(source)
    copy = time_us([lambda: target.copy_(source)], device, 0.1)["median"]
    a, b = (torch.randn(8192, 8192, device=device, dtype=torch.bfloat16) for _ in range(2))
    product = time_us([lambda: a @ b], device, 0.1)["median"]
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


def _graphed(step: Step) -> Step:
    for _ in range(3):
        step()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def _backward_step(
    work: Workload, call: Callable[..., Tensor], inputs: tuple[Tensor, ...], device: torch.device
) -> Step:
    """The backward pass; of what is bound by launches forward and backward, as one graph."""
    own = [x.detach().requires_grad_(i in work.moving) for i, x in enumerate(inputs)]
    out = call(*own)
    push, moving = torch.randn_like(out), [own[i] for i in work.moving]
    if work.is_launch_bound and device.type == "cuda":
        return _graphed(lambda: torch.autograd.grad(call(*own), moving, push))
    return lambda: torch.autograd.grad(out, moving, push, retain_graph=True)


def time_call(
    work: Workload, call: Callable[..., Tensor], sets: list[tuple[Tensor, ...]],
    device: torch.device, repeat_s: float,
) -> dict[str, dict[str, float]]:  # fmt: skip
    """Times of one way, forward and backward apart."""
    with torch.no_grad():
        steps: list[Step] = [lambda x=x: call(*x) for x in sets]
        if work.is_launch_bound and device.type == "cuda":
            steps = [_graphed(step) for step in steps[:4]]
        found = {"forward": time_us(steps, device, repeat_s)}
    if work.backward is None:
        return found
    steps = [_backward_step(work, call, inputs, device) for inputs in sets[:4]]
    return {**found, "backward": time_us(steps, device, repeat_s)}


def measure(
    work: Workload, device: torch.device, limit: dict[str, float], repeat_s: float
) -> dict[str, Any]:
    """Errors, times and what they are worth, of one workload."""
    errors = check(work, device)
    result: dict[str, Any] = {"name": work.name, "errors": errors, "times_us": {}, "worth": {}}
    wrong = {d: e for d, e in errors.get("flare", {"forward": math.inf}).items()
             if not e <= work.limits.get(d, 0.0)}  # fmt: skip
    if wrong and device.type == "cuda":
        return {**result, "wrong": wrong}
    sets = _sets(work, device)
    for name, call in {"flare": work.ours, **work.others}.items():
        try:
            result["times_us"][name] = time_call(work, call, sets, device, repeat_s)
        except RuntimeError as failure:
            result["times_us"][name] = {"absent": str(failure).splitlines()[0]}
    for direction, counts in (("forward", work.forward), ("backward", work.backward)):
        if counts is not None:
            result["worth"][direction] = worth(result, direction, counts, limit)
    return result


def worth(
    result: dict[str, Any], direction: str, counts: tuple[float, float], limit: dict[str, float]
) -> dict[str, Any]:
    """Rates, the share of the floor, and the ratio to the best other way, beside the prediction."""
    flops, size = counts
    times = {name: t[direction]["median"] for name, t in result["times_us"].items()
             if direction in t}  # fmt: skip
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


HEAD = (f"{'workload':42s}{'':9s}{'us':>9s}{'floor':>9s}{'share':>7s}{'said':>6s}"
        f"{'ratio':>7s}{'said':>6s}  best other, error")  # fmt: skip


def print_result(result: dict[str, Any]) -> None:
    """One line per direction of a workload."""
    if "wrong" in result:
        print(f"{result['name']:42s} WRONG: {result['wrong']}", flush=True)
    for direction, w in result["worth"].items():
        said = [f"{x:.2f}" if x else "" for x in (w["predicted_fraction"],
                                                  w["predicted_ratio"])]  # fmt: skip
        ratio = f"{w['ratio_to_best']:.2f}" if w["ratio_to_best"] else ""
        found = f"{w['best_other']}, {result['errors']['flare'][direction]:.1e}"
        print(f"{result['name']:42s}{direction:9s}{w['us']:9.1f}{w['floor_us']:9.1f}"
              f"{w['fraction_of_floor']:7.2f}{said[0]:>6s}{ratio:>7s}{said[1]:>6s}  {found}",
              flush=True)  # fmt: skip


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


def main() -> int:
    """Run what the command line chose."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench_kernels", description=__doc__)
    parser.add_argument("--case", default="", help="only workloads whose name contains this")
    parser.add_argument("--repeat-s", type=float, default=0.1, help="seconds of each measurement")
    parser.add_argument("--out", type=Path, help="file for the JSON")
    arguments = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    start, results = time.perf_counter(), []
    limit = ceilings(device)
    print(HEAD)
    with use_backend("triton"):
        for work in workloads(device):
            if arguments.case in work.name:
                torch.manual_seed(0)
                results.append(measure(work, device, limit, arguments.repeat_s))
                print_result(results[-1])
                if device.type == "cuda":
                    torch.cuda.empty_cache()
                    torch.compiler.reset()  # it compiles one function only so often
    whole: list[dict[str, Any]] = []
    if device.type == "cuda" and not arguments.case:
        from benchmarks.kernel_end_to_end import measure_all  # needs the policy, not kernels alone

        whole = measure_all(device)
    run = {
        "bench": "kernels", "machine": describe_machine(), "gpu": describe(device),
        "commit": git("rev-parse", "HEAD"), "ceilings": limit,
        "seconds": time.perf_counter() - start, "cases": results, "end_to_end": whole,
    }  # fmt: skip
    if arguments.out is not None:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(run, indent=1) + "\n")
    print(json.dumps(run))
    return 1 if any("wrong" in result for result in results) else 0


if __name__ == "__main__":
    raise SystemExit(main())
