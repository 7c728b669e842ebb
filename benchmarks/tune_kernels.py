"""Which block sizes are fastest on this GPU: ``python -m benchmarks.tune_kernels --out FILE``.

Every candidate of a kernel's table is tried at the shapes that the policy has: compiled first, in
as many processes as the machine has cores, then timed as replays of a CUDA graph of several calls
on rotating inputs, so that neither Python nor one launch's latency is in the numbers. Written are
microseconds, registers and spilled bytes of each; the tables in kernels/ name the winners. A
candidate that does not compile or needs more than the card has says so.

Without a GPU one candidate of each runs at a tiny size in Triton's interpreter.
"""

import argparse
import concurrent.futures
import contextlib
import json
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")

from torch import Tensor

from benchmarks.kernel_timing import time_replayed
from flare.kernels import attention, decode_attention, pool_attention
from flare.kernels._launch import Config, Launch, cdiv, launch, recording, use_backend

Args = Mapping[str, object]
Kernel = Any  # of Triton
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _configs(names: tuple[str, ...], *rows: tuple[int, ...]) -> list[Config]:
    """Rows of (blocks..., warps, stages), and perhaps the most registers of a thread."""
    found = []
    for row in rows:
        sizes = dict(zip(names, row, strict=False))
        warps, stages, *most = row[len(names) :]
        if names == ("BLOCK_N",):  # the decode kernel names its stages at the loop
            sizes["STAGES"] = stages
        found.append(
            Config(num_warps=warps, num_stages=stages, blocks=sizes, max_registers=(*most, None)[0])
        )
    return found


TILE = ("BLOCK_M", "BLOCK_N")
CANDIDATES: dict[str, list[Config]] = {
    "attention_fwd_kernel": _configs(
        TILE, (64, 64, 4, 2), (64, 64, 4, 2, 128), (64, 64, 4, 3), (64, 64, 4, 3, 128),
        (64, 32, 4, 3), (64, 32, 4, 3, 80), (64, 32, 4, 4), (128, 64, 8, 3), (128, 64, 8, 3, 128),
    ),
    "attention_dq_kernel": _configs(
        TILE, (64, 64, 4, 2), (64, 64, 4, 2, 128), (64, 64, 4, 3), (64, 64, 4, 3, 128),
        (64, 32, 4, 2), (64, 32, 4, 3), (64, 32, 4, 4), (128, 64, 8, 2, 128),
    ),
    "attention_dkv_kernel": _configs(
        TILE, (64, 64, 4, 1), (64, 64, 4, 1, 168), (64, 64, 4, 2), (64, 64, 4, 2, 168),
        (32, 64, 4, 1), (32, 64, 4, 1, 128), (32, 64, 4, 2), (32, 64, 4, 2, 128), (32, 64, 4, 3),
    ),
    "decode_kernel": _configs(
        ("BLOCK_N",), (32, 1, 3), (32, 2, 3), (64, 2, 2), (64, 2, 3), (64, 4, 3), (128, 4, 2),
        (128, 4, 3), (256, 8, 1), (256, 8, 2),
    ),
    "pool_fwd_kernel": _configs(
        ("BLOCK_N", "BLOCK_K"), (32, 128, 4, 2), (32, 128, 4, 3), (64, 128, 4, 2),
    ),
    "pool_bwd_kernel": _configs(
        ("BLOCK_N", "BLOCK_K"), (64, 128, 4, 2), (64, 128, 4, 3), (64, 128, 4, 4), (32, 128, 4, 3),
        (32, 256, 4, 3), (64, 256, 4, 2),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Shape:
    """A call that launches some of the kernels above."""

    name: str
    call: Callable[[int], object]
    """Of a number of rows, with new inputs."""
    rows: int
    sets: int = 4
    """Of inputs, used in turns."""


def _rand(*shape: int, grad: bool = False) -> Tensor:
    found = torch.randn(shape, device=DEVICE).bfloat16()
    return found.requires_grad_(grad)


def _attention(size: int, heads: int, is_episodes: bool = False) -> Callable[[int], object]:
    def call(rows: int) -> object:
        options: dict[str, Any] = {}
        if is_episodes:
            starts = torch.rand(rows, size, device=DEVICE) < 0.03
            options = {"segment_ids": starts.cumsum(1), "causal": True}
        out = attention.attention_packed(_rand(rows, size, 3, heads, 64, grad=True), **options)
        torch.autograd.backward(out, torch.randn_like(out))
        return out

    return call


def _decode(keys: int) -> Callable[[int], object]:
    def call(rows: int) -> object:
        q, k, v = (_rand(rows, 8, 64) for _ in range(3))
        caches = [_rand(rows, 1024, 8, 64) for _ in range(2)]
        place = torch.full((rows,), keys - 1, device=DEVICE)
        return decode_attention.decode_attention(q, k, v, *caches, place=place, kv_len=place + 1)

    return call


def _pool(rows: int) -> object:
    x, u = _rand(rows, 181, 512, grad=True), _rand(rows, 8, 512).mul_(0.04).requires_grad_()
    out = pool_attention.pool_attention(x, u)
    torch.autograd.backward(out, torch.randn_like(out))
    return out


def shapes() -> Iterator[Shape]:
    """What the policy asks for: fusion, vision transformer, decoder, a step's decoder, last row."""
    if DEVICE.type != "cuda":
        yield Shape("episodes 1x20x1", _attention(20, 1, True), 1, 1)
        yield Shape("decode 1x5", _decode(5), 1, 1)
        return
    yield Shape("attention 4096x181x8", _attention(181, 8), 4096, 2)
    yield Shape("attention 512x181x8", _attention(181, 8), 512)
    yield Shape("attention 64x433x6", _attention(433, 6), 64, 8)
    yield Shape("attention 16x433x6", _attention(433, 6), 16, 16)
    yield Shape("episodes 32x128x8", _attention(128, 8, True), 32, 16)
    for rows, keys in ((8, 129), (32, 129), (64, 129), (64, 1000)):
        yield Shape(f"decode {rows}x{keys}", _decode(keys), rows)
    yield Shape("pool 4096x181", _pool, 4096, 2)


def launches_of(shape: Shape, rows: int) -> list[Launch]:
    """What one call launches, with the table's sizes."""
    target = torch.cuda.get_device_capability() if DEVICE.type == "cuda" else (9, 0)
    with use_backend("triton"), recording(target, runs=True) as record:
        shape.call(rows)
    return record.launches


def grid_of(name: str, args: Args, config: Config, rows: int) -> tuple[int]:
    """Programs of a kernel at other sizes."""
    if name.startswith("pool"):
        return (rows,)
    heads = args["heads"]
    assert isinstance(heads, int)
    if name.startswith("decode"):
        return (rows * heads,)
    size, block = ("size_k", "BLOCK_N") if "dkv" in name else ("size_q", "BLOCK_M")
    length = args[size]
    assert isinstance(length, int)
    return (rows * heads * cdiv(length, config.blocks[block]),)


def name_of(kernel: Kernel) -> str:
    """Of its function."""
    name: str = kernel.fn.__name__
    return name


def candidates(name: str, own: Config) -> list[Config]:
    """Of a kernel, the table's own row first."""
    tried = CANDIDATES.get(name, [])
    return [own, *(tried if DEVICE.type == "cuda" else tried[:1])]


def tune(shape: Shape, rows: int) -> Iterator[dict[str, Any]]:
    """Times of all candidates of the kernels that a shape launches."""
    sets = [launches_of(shape, rows) for _ in range(shape.sets)]
    for place, first in enumerate(sets[0]):
        kernel, args, own = first.kernel, first.args, first.config
        name = name_of(kernel)
        for config in candidates(name, own):
            grid = grid_of(name, args, config, rows)
            steps = [
                lambda a=each[place].args, c=config, g=grid, k=kernel: launch(k, g, a, c)
                for each in sets
            ]
            found = {"shape": shape.name, "kernel": name, "is_own": config is own,
                     "warps": config.num_warps, "stages": config.num_stages,
                     "most registers": config.max_registers, **config.blocks}  # fmt: skip
            try:
                yield {**found, "us": time_replayed(steps, DEVICE, 0.02)["median"]}
            except Exception as failure:  # of Triton's many kinds
                yield {**found, "absent": repr(failure)[:200]}


def _compile(task: tuple[int, int, int]) -> None:
    """In a process of its own: compile a share of a shape's candidates into Triton's cache."""
    place, share, shares = task
    shape = list(shapes())[place]
    found = launches_of(shape, 2)
    todo = [(each.kernel, each.args, config) for each in found
            for config in candidates(name_of(each.kernel), each.config)]  # fmt: skip
    for kernel, args, config in todo[share::shares]:
        with contextlib.suppress(Exception):  # the one who times it says why
            launch(kernel, grid_of(name_of(kernel), args, config, 2), args, config)


def compile_all(chosen: str) -> None:
    """Fill Triton's cache; heads of 6 and of 8, and sizes of 181 and of 433, compile alike."""
    first = ("attention 512", "episodes", "decode 64x129", "pool")
    places = [i for i, s in enumerate(shapes()) if s.name.startswith(first) and chosen in s.name]
    cores = os.cpu_count() or 1
    shares = max(1, cores // max(1, len(places)))
    tasks = [(place, share, shares) for place in places for share in range(shares)]
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(cores, mp_context=spawn) as pool:
        list(pool.map(_compile, tasks))


def host_us(rows: int, size: int, heads: int) -> dict[str, float]:
    """What Python takes to launch attention once, forward, and forward and backward."""
    qkv = _rand(rows, size, 3, heads, 64, grad=True)
    push = _rand(rows, size, heads, 64)

    def forward() -> None:
        with torch.no_grad():
            attention.attention_packed(qkv)

    def both() -> None:
        torch.autograd.grad(attention.attention_packed(qkv), qkv, push)

    found = {}
    for name, call in (("forward", forward), ("forward+backward", both)):
        times = []
        for _ in range(5):
            call()
            if DEVICE.type == "cuda":
                torch.cuda.synchronize()
            start = time.perf_counter()
            for _ in range(20 if DEVICE.type == "cuda" else 1):
                call()
            times.append((time.perf_counter() - start) / 20 * 1e6)
        found[name] = min(times)
    return found


def main() -> int:
    """Run what the command line chose."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tune_kernels", description=__doc__)
    parser.add_argument("--case", default="", help="only shapes whose name contains this")
    parser.add_argument("--out", type=Path, help="file for the JSON")
    arguments = parser.parse_args()
    start, results = time.perf_counter(), []
    run: dict[str, Any] = {"bench": "tune_kernels", "cases": results}
    if DEVICE.type == "cuda":
        compile_all(arguments.case)
        run["compiled_s"] = time.perf_counter() - start
        run["gpu"] = torch.cuda.get_device_name()
    with use_backend("triton"):
        run["host_us"] = host_us(1, 33, 2)
        print(run, flush=True)
        for shape in shapes():
            if arguments.case not in shape.name:
                continue
            found = list(tune(shape, shape.rows))
            results += found
            for row in sorted(found, key=lambda r: (r["kernel"], r.get("us", float("inf")))):
                print(row, flush=True)
            if arguments.out is not None:  # what is known so far, whatever comes
                arguments.out.parent.mkdir(parents=True, exist_ok=True)
                arguments.out.write_text(json.dumps(run, indent=1) + "\n")
            if DEVICE.type == "cuda":
                torch.cuda.empty_cache()
    print(f"{time.perf_counter() - start:.0f} s")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
