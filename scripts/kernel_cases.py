"""The calls whose kernels are compiled ahead of time: every row of every configuration table."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from flare.kernels.add_layernorm import add_layernorm, stream_layernorm
from flare.kernels.add_rmsnorm import add_rmsnorm
from flare.kernels.attention import attention, attention_packed
from flare.kernels.augment_patches import augment_patches
from flare.kernels.decode_attention import decode_attention
from flare.kernels.flat_adam import FlatAdam
from flare.kernels.gae import gae
from flare.kernels.layernorm_relu_token import layernorm_relu_token
from flare.kernels.ln_pool import ln_pool
from flare.kernels.pool_attention import pool_attention
from flare.kernels.ppo_loss import ppo_loss
from flare.kernels.sample_action import sample_action
from flare.kernels.step_embedding import step_embedding
from flare.kernels.swiglu import swiglu

BF16, FP16, FP32, INT64, BOOL = (
    torch.bfloat16, torch.float16, torch.float32, torch.int64, torch.bool
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One call on tensors without data; where it is trained, its backward pass too."""

    name: str
    call: Callable[[], Tensor]
    has_gradient: bool = True

    def run(self) -> None:
        """Do it."""
        out = self.call()
        if self.has_gradient:
            torch.autograd.backward(out, torch.empty_like(out))


def meta(*shape: int, dtype: torch.dtype = BF16, grad: bool = False) -> Tensor:
    """A tensor of a shape and nothing else."""
    return torch.empty(shape, dtype=dtype, device="meta", requires_grad=grad)


def _attention_cases() -> Iterator[Case]:
    def packed(size: int, dtype: torch.dtype, **options: object) -> Callable[[], Tensor]:
        return lambda: attention_packed(meta(8, size, 3, 8, 64, dtype=dtype, grad=True), **options)

    segments = meta(8, 128, dtype=INT64)
    remembered = {
        "prefix_k": meta(8, 64, 8, 64), "prefix_v": meta(8, 64, 8, 64),
        "prefix_len": meta(8, dtype=INT64),
    }  # fmt: skip
    yield Case("attention bf16", packed(181, BF16))
    yield Case("attention bf16 long", packed(433, BF16))
    yield Case("attention bf16 lengths", packed(181, BF16, kv_len=meta(8, dtype=INT64)))
    episodes = {"segment_ids": segments, "causal": True}
    yield Case("attention bf16 causal segments", packed(128, BF16, **episodes))
    yield Case("attention bf16 causal segments prefix",
               packed(128, BF16, **episodes, **remembered))  # fmt: skip
    yield Case("attention bf16 dropout",
               packed(181, BF16, dropout_p=0.1, seed=meta(dtype=INT64)))  # fmt: skip
    yield Case("attention fp16", packed(181, FP16))
    yield Case("attention fp32", packed(181, FP32))
    yield Case("attention fp32 causal segments", packed(128, FP32, **episodes))
    yield Case("attention fp32 dropout",
               packed(181, FP32, dropout_p=0.1, seed=meta(dtype=INT64)))  # fmt: skip
    small = [meta(32, 64, 4, 32, grad=True) for _ in range(3)]
    yield Case("attention bf16 D=32", lambda: attention(*small))


def _norm_cases(dtype: torch.dtype, name: str, widths: tuple[int, ...]) -> Iterator[Case]:
    def rows(*shape: int) -> Tensor:
        return meta(*shape, dtype=dtype, grad=True)

    for width in widths:
        yield Case(
            f"add_layernorm {name} C={width}",
            lambda width=width: add_layernorm(
                rows(4096, width), rows(4096, width), rows(width), rows(width)
            ),
        )
    yield Case(
        f"stream_layernorm {name}",
        lambda: stream_layernorm(*(meta(64, 433, 384, dtype=dtype) for _ in range(2)),
                                 *(meta(384, dtype=dtype) for _ in range(3)))[0],
        has_gradient=False,
    )  # fmt: skip
    yield Case(
        f"step_embedding {name}",
        lambda: step_embedding(
            rows(32, 512), rows(22, 512), rows(3, 512), action=meta(32, dtype=INT64),
            hand=meta(32, dtype=INT64), step=meta(32, dtype=INT64),
            frequencies=meta(256, dtype=FP32),
        ),
    )  # fmt: skip
    yield Case(f"add_rmsnorm {name}", lambda: sum(add_rmsnorm(
        rows(4096, 512), rows(4096, 512), rows(512))))  # fmt: skip
    yield Case(f"swiglu {name}", lambda: swiglu(rows(4096, 3072)))
    yield Case(
        f"layernorm_relu_token {name}",
        lambda: layernorm_relu_token(
            rows(64, 2, 84, 512), rows(512), rows(512), rows(2, 512), first=rows(512),
            tail=rows(16, 12, 512), index=meta(64, dtype=INT64),
        ),
    )  # fmt: skip


def _decode(dtype: torch.dtype, envs: int) -> Tensor:
    q, k, v = (meta(envs, 8, 64, dtype=dtype) for _ in range(3))
    cache_k, cache_v = (meta(envs, 1024, 8, 64, dtype=dtype) for _ in range(2))
    place, kv_len = meta(envs, dtype=INT64), meta(envs, dtype=INT64)
    return decode_attention(q, k, v, cache_k, cache_v, place=place, kv_len=kv_len)


def _adam() -> Tensor:
    weight = torch.nn.Parameter(meta(512, 512, dtype=FP32))
    weight.grad = meta(512, 512, dtype=FP32)
    optimizer = FlatAdam([{"params": [weight]}], max_norm=0.5)
    optimizer.step()
    return weight


def _small_cases() -> Iterator[Case]:
    def steps(dtype: torch.dtype = FP32, grad: bool = False) -> Tensor:
        return meta(4096, dtype=dtype, grad=grad)

    def grid(rows: int = 128, dtype: torch.dtype = FP32) -> Tensor:
        return meta(rows, 32, dtype=dtype)

    yield Case("pool_attention bf16", lambda: pool_attention(
        meta(64, 181, 512, grad=True), meta(64, 8, 512, grad=True)))  # fmt: skip
    yield Case("pool_attention bf16 lengths", lambda: pool_attention(
        meta(64, 181, 512, grad=True), meta(64, 8, 512, grad=True),
        kv_len=meta(64, dtype=INT64)))  # fmt: skip
    for envs in (8, 64):
        for name, dtype in (("bf16", BF16), ("fp32", FP32)):
            yield Case(f"decode_attention {name} N={envs}",
                       lambda d=dtype, n=envs: _decode(d, n), has_gradient=False)  # fmt: skip
    yield Case("ln_pool bf16", lambda: ln_pool(
        meta(64, 433, 384), meta(384), meta(384), patches=(16, 27), grid=(7, 12)),
        has_gradient=False)  # fmt: skip
    yield Case("augment_patches", lambda: augment_patches(
        meta(64, 224, 384, 3, dtype=torch.uint8), torch.ones(64, 15), patch=14, grid=(16, 27)),
        has_gradient=False)  # fmt: skip
    yield Case("gae", lambda: gae(
        grid(), grid(129), grid(dtype=BOOL), grid(dtype=BOOL), grid(), 0.99, 0.95,
        valid=grid(dtype=BOOL))[0], has_gradient=False)  # fmt: skip
    yield Case("flat_adam", _adam, has_gradient=False)
    yield Case("sample_action", lambda: sample_action(
        meta(32, 20, dtype=FP32), meta(32, dtype=FP32))[0], has_gradient=False)  # fmt: skip
    yield Case("ppo_loss", lambda: ppo_loss(
        meta(4096, 20, dtype=FP32, grad=True), steps(grad=True), steps(INT64), steps(), steps(),
        steps(), clip_coef=0.1, value_loss_coef=0.5)[0])  # fmt: skip


def cases() -> Iterator[Case]:
    """All of them."""
    yield from _attention_cases()
    yield from _norm_cases(BF16, "bf16", (128, 512, 768))
    yield from _norm_cases(FP32, "fp32", (512,))
    yield from _small_cases()
