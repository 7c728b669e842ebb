"""How calls on a GPU are timed: by themselves as Python launches them, or as replays of a graph.

A call that Python launches is timed between two events, the device waited for before: what Python
takes is in it wherever that is longer than the kernel. A replay holds several calls in one CUDA
graph and is divided by their number: what is left is the device's work. Elsewhere one call is timed
by the clock, and the number means nothing.
"""

import statistics
import time
from collections.abc import Callable

import torch

Step = Callable[[], object]
Times = dict[str, float]
_LEAST = 12  # samples of a median
_MOST_IN_GRAPH = 16  # calls


def summary(times: list[float]) -> Times:
    """Median, and what lies between the first and the last fifth."""
    if len(times) == 1:
        return {"median": times[0], "spread": 0.0, "samples": 1}
    cuts = statistics.quantiles(times, n=5)
    return {"median": statistics.median(times), "spread": cuts[3] - cuts[0], "samples": len(times)}


def _elapsed_us(step: Step) -> tuple[torch.cuda.Event, torch.cuda.Event]:
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    step()
    end.record()
    return begin, end


def time_called(steps: list[Step], device: torch.device, repeat_s: float) -> Times:
    """Microseconds of one call from Python; the steps take turns."""
    if device.type != "cuda":
        start = time.perf_counter()
        steps[0]()
        return summary([(time.perf_counter() - start) * 1e6])
    for step in steps:
        step()
    torch.cuda.synchronize()
    start = time.perf_counter()
    while time.perf_counter() - start < 0.025:
        steps[0]()
        torch.cuda.synchronize()
    samples: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []
    start = time.perf_counter()
    while time.perf_counter() - start < repeat_s or len(samples) < _LEAST:
        for step in steps:
            samples.append(_elapsed_us(step))
        torch.cuda.synchronize()
    return summary([1e3 * begin.elapsed_time(end) for begin, end in samples])


def time_replayed(steps: list[Step], device: torch.device, repeat_s: float) -> Times:
    """Microseconds of one call among up to 16 in a CUDA graph.

    The steps are warmed up on a side stream and must leave nothing alive between calls: a leaf's
    node that was made on another stream than the capture's breaks it.
    """
    if device.type != "cuda":
        return time_called(steps, device, repeat_s)
    steps = (steps * _MOST_IN_GRAPH)[: max(len(steps), _MOST_IN_GRAPH)][:_MOST_IN_GRAPH]
    side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            for step in steps:
                step()
    torch.cuda.current_stream().wait_stream(side)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for step in steps:
            step()
    graph.replay()
    torch.cuda.synchronize()
    times: list[float] = []
    start = time.perf_counter()
    while time.perf_counter() - start < repeat_s or len(times) < _LEAST:
        begin, end = _elapsed_us(graph.replay)
        end.synchronize()
        times.append(1e3 * begin.elapsed_time(end) / len(steps))
    return summary(times)
