"""The switch between paths, and what a launch is given."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from flare.kernels import _launch
from flare.kernels._launch import backend, recording, set_backend, use_backend, uses_triton
from flare.kernels.attention import CONFIGS, attention_packed


def test_the_switch_is_set_for_a_while():
    before = backend()
    with use_backend("reference"):
        assert backend() == "reference"
        assert not uses_triton(torch.zeros(1))
    assert backend() == before


def test_the_switch_names_a_name_it_does_not_know():
    with pytest.raises(ValueError, match="got 'cuda'"):
        set_backend("cuda")


def test_auto_leaves_cpu_tensors_to_pytorch():
    with use_backend("auto"):
        assert not uses_triton(torch.zeros(1))


def test_float64_is_always_pytorchs():
    with use_backend("triton"):
        assert not uses_triton(torch.zeros(1, dtype=torch.float64))


def test_triton_is_refused_where_it_cannot_run(monkeypatch):
    monkeypatch.setattr(_launch, "INTERPRETED", False)
    with use_backend("triton"), pytest.raises(RuntimeError, match="TRITON_INTERPRET is not 1"):
        uses_triton(torch.zeros(1))
    monkeypatch.setattr(_launch, "HAS_TRITON", False)
    with use_backend("triton"), pytest.raises(RuntimeError, match="Triton is not installed"):
        uses_triton(torch.zeros(1))


def test_a_recording_notes_launches_and_does_nothing(monkeypatch):
    from flare.kernels import attention

    monkeypatch.setattr(attention, "INTERPRETED", False)
    qkv = torch.empty(2, 181, 3, 8, 64, dtype=torch.bfloat16, device="meta", requires_grad=True)
    with recording((8, 0)) as record:
        out = attention_packed(qkv)
        torch.autograd.backward(out, torch.empty_like(out))
    assert [launch.config for launch in record.launches] == [
        CONFIGS[kernel, 8, 2] for kernel in ("fwd", "dq", "dkv")
    ]  # fmt: skip
    assert record.launches[0].args["size_q"] == 181


class Kernel:
    """Stands for Triton's: notes which way it was launched."""

    def __init__(self):
        self.arg_names, self.found = ["x", "n", "y", "BLOCK"], []

    def __getitem__(self, grid):
        def search(**args):
            self.found.append("search")
            return {(*grid, 1, 1)[:3]: lambda *values: self.found.append(values)}

        return search


def test_a_launch_is_searched_for_once_for_each_kind_of_arguments():
    kernel, config = Kernel(), _launch.Config(blocks={"BLOCK": 8})

    def launched(x, n, config=config, y=None):
        _launch.launch(kernel, (4,), {"x": x, "n": n, "y": y}, config)
        return kernel.found[-1]

    x, other = torch.zeros(64), torch.ones(64)
    assert launched(x, 16) == "search"
    assert launched(x, 16) == (x, 16, None, 8)
    assert launched(other, 16)[0] is other  # another tensor of the same kind
    # What Triton makes a kernel of its own for: type, alignment, numbers, sizes.
    assert launched(x.double(), 16) == "search"
    assert launched(x[1:], 16) == "search"
    assert launched(x, 16, y=x) == "search"
    assert launched(x, 1) == "search" and launched(x, 1.0) == "search"
    assert launched(x, 16, _launch.Config(blocks={"BLOCK": 8})) == "search"
    assert launched(x, 16) == (x, 16, None, 8)


def test_a_prepared_launch_is_searched_for_once_for_each_kind_of_tensors():
    kernel, config = Kernel(), _launch.Config(blocks={"BLOCK": 8})
    prepared = _launch.Prepared(kernel, (4,), ("x", "y"), {"n": 16}, config)

    def launched(x, y=None):
        prepared(x, y)
        return kernel.found[-1]

    x, other = torch.zeros(64), torch.ones(64)
    assert launched(x) == "search"
    assert launched(x) == (x, 16, None, 8)
    assert launched(other)[0] is other
    assert launched(x.double()) == "search"
    assert launched(x[1:]) == "search"
    assert launched(x, other) == "search" and launched(x, other) == (x, 16, other, 8)
    with recording((9, 0), runs=True) as record:
        assert launched(x)[0] is x  # noted as well
    assert record.launches[0].args == {"x": x, "n": 16, "y": None, "BLOCK": 8}


def test_no_kernel_has_an_argument_that_triton_takes_for_its_own():
    """An argument called ``params`` was overwritten by the launcher of Triton 3.6."""
    names = set()
    for path in (Path(_launch.__file__).parent).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name.endswith("_kernel"):
                names |= {argument.arg for argument in node.args.args}
    assert names and not names & {"params", "options", "specialization", "grid", "warmup"}


WITHOUT_TRITON = """
import importlib.util
real = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "triton" else real(name, *rest)
import torch
from flare.kernels import _launch, augment_patches, decode_attention, flat_adam, gae, ppo_loss
from flare.kernels.attention import attention
from flare.kernels.pool_attention import pool_attention
q = torch.randn(1, 3, 2, 4)
assert not _launch.HAS_TRITON
assert attention(q, q, q, causal=True).shape == q.shape
place = torch.zeros(1, dtype=torch.int64)
cache = torch.zeros(1, 5, 2, 4)
decode_attention.decode_attention(q[:, 0], q[:, 0], q[:, 0], cache, cache, place=place,
                                  kv_len=place + 1)
assert pool_attention(q[:, :, 0], q[:, :, 0]).shape == (1, 3, 4)
"""


def test_everything_works_without_triton():
    subprocess.run([sys.executable, "-c", WITHOUT_TRITON], check=True)
