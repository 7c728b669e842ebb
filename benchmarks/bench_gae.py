"""GAE over [T, N] float32 in M elements/s: ours, a plain C loop, numpy and torch loops over time,
and Tianshou's compiled one where it is installed.

The limit is one core's memcpy of the bytes that must move: rewards and values (4 bytes each), two
flags, two outputs (4 bytes each), 18 an element; a copy reads one half and writes the other.
"""

import contextlib
import ctypes
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch

from benchmarks.run import Case, Contenders
from flare.rollout.gae import compute_gae

try:
    from tianshou.algorithm.algorithm_base import _gae as tianshou_gae
except ImportError:
    tianshou_gae = None

GAMMA, GAE_LAMBDA = 0.99, 0.95
SHAPES = [(128, 32), (128, 256), (2048, 4096)]
BYTES_COPIED = 9  # an element: half of 18

PLAIN_C = """
#include <stddef.h>
#include <stdint.h>
/* The textbook loop: back in time, and over columns within. One row is a function of its own, so
   that the compiler may assume that rows do not overlap, and vectorises. */
static void row(const float* restrict reward, const float* restrict value,
                const float* restrict next_value, const uint8_t* restrict terminated,
                const uint8_t* restrict truncated, const float* restrict final_value,
                const float* restrict following, float* restrict advantage,
                float* restrict returns, size_t N, float gamma, float decay) {
  for (size_t n = 0; n < N; ++n) {
    const float final = final_value[n];
    float next = truncated[n] ? final : next_value[n];
    next = terminated[n] ? 0.0f : next;
    const float keep = (terminated[n] | truncated[n]) ? 0.0f : decay;
    advantage[n] = reward[n] + gamma * next - value[n] + keep * following[n];
    returns[n] = advantage[n] + value[n];
  }
}

void gae(const float* rewards, const float* values, const uint8_t* terminated,
         const uint8_t* truncated, const float* final_values, float* advantages, float* returns,
         size_t T, size_t N, float gamma, float lambda) {
  for (size_t n = 0; n < N; ++n) returns[n] = 0.0f; /* A_T, in a row that is written last */
  for (size_t t = T; t-- > 0;) {
    const size_t i = t * N;
    const float* following = t + 1 < T ? advantages + i + N : returns;
    row(rewards + i, values + i, values + i + N, terminated + i, truncated + i, final_values + i,
        following, advantages + i, returns + i, N, gamma, gamma * lambda);
  }
}
"""


def aligned(shape: tuple[int, ...], dtype: type) -> np.ndarray:
    """Zeroed array whose first element starts a cache line, like those of a rollout buffer."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    block = np.zeros(size + 64, np.uint8)
    start = -block.ctypes.data % 64
    return block[start : start + size].view(dtype).reshape(shape)


def make_rollout(num_steps: int, num_envs: int) -> dict[str, np.ndarray]:
    """One in a hundred steps ends an episode, half of them by a limit."""
    rng = np.random.default_rng(0)
    shape = (num_steps, num_envs)
    r = {
        "rewards": aligned(shape, np.float32),
        "values": aligned((num_steps + 1, num_envs), np.float32),
        "terminated": aligned(shape, np.uint8),
        "truncated": aligned(shape, np.uint8),
        "final_values": aligned(shape, np.float32),
    }
    for name in ("rewards", "values", "final_values"):
        r[name][...] = rng.standard_normal(r[name].shape, np.float32)
    for name in ("terminated", "truncated"):
        r[name][...] = rng.random(shape, np.float32) < 0.005
    return r


def compile_plain_c(folder: Path) -> Callable[..., None]:
    """The C loop, optimised like our own code."""
    source = folder / "gae.c"
    source.write_text(PLAIN_C)
    library = folder / "gae.so"
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise FileNotFoundError("no C compiler")
    flags = ["-O3", "-march=x86-64-v3", "-shared", "-fPIC"]
    subprocess.run([compiler, *flags, "-o", str(library), str(source)], check=True)
    function = ctypes.CDLL(str(library)).gae
    pointer, size = ctypes.c_void_p, ctypes.c_size_t
    function.argtypes = [pointer] * 7 + [size, size, ctypes.c_float, ctypes.c_float]
    function.restype = None
    return function


def numpy_loop(r: dict[str, np.ndarray], advantages: np.ndarray, returns: np.ndarray) -> None:
    """A Python loop over time, numpy over environments, as in single-file PPO scripts."""
    following = np.zeros(r["rewards"].shape[1], np.float32)
    for t in reversed(range(len(r["rewards"]))):
        next_values = np.where(r["truncated"][t], r["final_values"][t], r["values"][t + 1])
        next_values = np.where(r["terminated"][t], np.float32(0), next_values)
        goes_on = (r["terminated"][t] | r["truncated"][t]) == 0
        delta = r["rewards"][t] + GAMMA * next_values - r["values"][t]
        following = delta + GAMMA * GAE_LAMBDA * goes_on * following
        advantages[t] = following
    np.add(advantages, r["values"][:-1], out=returns)


def torch_loop(r: dict[str, torch.Tensor], advantages: torch.Tensor, returns: torch.Tensor) -> None:
    """The same in torch."""
    following = torch.zeros(r["rewards"].shape[1])
    for t in reversed(range(len(r["rewards"]))):
        next_values = torch.where(r["truncated"][t] != 0, r["final_values"][t], r["values"][t + 1])
        next_values = next_values * (r["terminated"][t] == 0)
        goes_on = (r["terminated"][t] | r["truncated"][t]) == 0
        delta = r["rewards"][t] + GAMMA * next_values - r["values"][t]
        following = delta + GAMMA * GAE_LAMBDA * goes_on * following
        advantages[t] = following
    torch.add(advantages, r["values"][:-1], out=returns)


def tianshou(r: dict[str, np.ndarray], expected: np.ndarray) -> Callable[[], np.ndarray]:
    """Tianshou's function, compiled by numba, in its own layout: one environment after another.

    It takes the values that follow each step; where an episode ends, they are put there before the
    clock starts, and it gives no returns.
    """
    following = np.where(r["truncated"], r["final_values"], r["values"][1:])
    following[r["terminated"] != 0] = 0
    ends = (r["terminated"] | r["truncated"]) != 0
    ends[-1] = True  # nothing flows from one environment into the next
    columns = [np.ravel(a.T) for a in (r["values"][:-1], following, r["rewards"], ends)]
    call = partial(tianshou_gae, *columns, GAMMA, GAE_LAMBDA)
    advantages = call().reshape(ends.shape[::-1]).T
    np.testing.assert_allclose(advantages, expected, rtol=1e-4, atol=1e-4, err_msg="tianshou")
    return call


@contextlib.contextmanager
def contenders(num_steps: int, num_envs: int) -> Iterator[Contenders]:
    """All of them on the same arrays; they must agree before they are timed."""
    r = make_rollout(num_steps, num_envs)
    tensors = {name: torch.from_numpy(array) for name, array in r.items()}
    advantages = aligned((num_steps, num_envs), np.float32)
    returns = aligned((num_steps, num_envs), np.float32)
    ours = partial(
        compute_gae,
        *r.values(),
        GAMMA,
        GAE_LAMBDA,
        advantages=advantages,
        returns=returns,
    )
    source, target = (aligned((BYTES_COPIED * num_steps * num_envs,), np.uint8) for _ in range(2))
    source[...] = 1
    calls = {
        "flare": partial(ours, num_threads=1),
        "flare_all_cores": ours,
        "memcpy": partial(np.copyto, target, source),
        "numpy_loop": partial(numpy_loop, r, advantages, returns),
        "torch_loop": partial(
            torch_loop, tensors, torch.from_numpy(advantages), torch.from_numpy(returns)
        ),
    }
    absent = {}
    with tempfile.TemporaryDirectory() as folder:
        try:
            function = compile_plain_c(Path(folder))
            pointers = [a.ctypes.data for a in (*r.values(), advantages, returns)]
            calls["plain_c"] = partial(function, *pointers, num_steps, num_envs, GAMMA, GAE_LAMBDA)
        except (OSError, subprocess.CalledProcessError) as error:
            absent["plain_c"] = str(error)
        expected = ours()[0].copy()
        for name in calls.keys() - {"memcpy"}:
            advantages[...] = np.nan
            calls[name]()
            np.testing.assert_allclose(advantages, expected, rtol=1e-4, atol=1e-4, err_msg=name)
        if tianshou_gae is None:
            absent["tianshou"] = "tianshou is not importable; pip install tianshou"
        else:
            calls["tianshou"] = tianshou(r, expected)
        yield Contenders(calls, absent)


CASES = [
    Case(
        id=f"gae/T={num_steps}/N={num_envs}",
        unit="M elements/s",
        work=num_steps * num_envs / 1e6,
        setup=partial(contenders, num_steps, num_envs),
        limit="memcpy",
        config={
            "gamma": GAMMA,
            "gae_lambda": GAE_LAMBDA,
            "bytes_copied": BYTES_COPIED,
            "limit_is": "one core's memcpy of bytes_copied an element: as many are read as written",
        },
    )
    for num_steps, num_envs in SHAPES
]
