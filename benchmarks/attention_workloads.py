"""Attention of every kind that the policy has, and the other ways to it."""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from benchmarks.kernel_workload import Call, Workload, compiled, is_gpu, rand
from flare.kernels.attention import attention_packed
from flare.kernels.attention_reference import attention_reference
from flare.kernels.decode_attention import decode_attention, decode_attention_reference
from flare.kernels.pool_attention import pool_attention, pool_attention_reference


def _sdpa(backend: SDPBackend, **options: object) -> Call:
    def call(qkv: Tensor, *_: Tensor) -> Tensor:
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        with sdpa_kernel(backend):
            return F.scaled_dot_product_attention(q, k, v, **options).transpose(1, 2)

    return call


def _naive(qkv: Tensor, *_: Tensor) -> Tensor:
    q, k, v = qkv.permute(2, 0, 3, 1, 4)
    weights = (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(-1)
    return (weights @ v).transpose(1, 2)


def _flex(qkv: Tensor, *_: Tensor) -> Tensor:
    from torch.nn.attention.flex_attention import flex_attention

    return flex_attention(*qkv.permute(2, 0, 3, 1, 4)).transpose(1, 2)


def _flex_episodes(qkv: Tensor, segments: Tensor, mask: Tensor) -> Tensor:
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    def sees(b: Tensor, h: Tensor, i: Tensor, j: Tensor) -> Tensor:
        return (segments[b, i] == segments[b, j]) & (j <= i)

    size = qkv.shape[1]
    blocks = create_block_mask(sees, len(qkv), None, size, size, device=qkv.device)
    return flex_attention(*qkv.permute(2, 0, 3, 1, 4), block_mask=blocks).transpose(1, 2)


def _masked_sdpa(qkv: Tensor, segments: Tensor, mask: Tensor) -> Tensor:
    q, k, v = qkv.permute(2, 0, 3, 1, 4)
    with sdpa_kernel(SDPBackend.EFFICIENT_ATTENTION):
        return F.scaled_dot_product_attention(q, k, v, mask).transpose(1, 2)


def _masked_naive(qkv: Tensor, segments: Tensor, mask: Tensor) -> Tensor:
    q, k, v = qkv.permute(2, 0, 3, 1, 4)
    scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
    return (scores.masked_fill(~mask, -torch.inf).softmax(-1) @ v).transpose(1, 2)


def attention_workload(device: torch.device, batch: int, size: int, heads: int) -> Workload:
    """Dense attention from a packed projection."""
    tensor = 2.0 * batch * size * heads * 64  # bytes of one of q, k, v and out
    flops = 4.0 * batch * heads * size * size * 64
    others: dict[str, Call] = {"naive": _naive}
    if is_gpu(device):
        others.update(
            flash=_sdpa(SDPBackend.FLASH_ATTENTION),
            efficient=_sdpa(SDPBackend.EFFICIENT_ATTENTION),
            cudnn=_sdpa(SDPBackend.CUDNN_ATTENTION),
            flex=compiled(_flex),
        )
    return Workload(
        name=f"attention/{batch}x{size}x{heads}x64",
        inputs=lambda d, t: (rand(d, t, batch, size, 3, heads, 64),),
        ours=attention_packed,
        reference=lambda qkv: attention_reference(*qkv.unbind(2)),
        others=others,
        forward=(flops, 4 * tensor),
        backward=(2.5 * flops, 8 * tensor),
        few=lambda x: (x[0][:2],),
        is_launch_bound=batch < 128,
    )


def episodes_workload(device: torch.device, batch: int, size: int, heads: int) -> Workload:
    """The decoder's attention: causal, within episodes."""
    tensor = 2.0 * batch * size * heads * 64
    flops = 2.0 * batch * heads * size * size * 64  # half of the square

    def inputs(d: torch.device, t: torch.dtype) -> tuple[Tensor, ...]:
        ids = (torch.rand(batch, size, device=d) < 0.03).cumsum(1)
        mask = (ids[:, :, None] == ids[:, None, :]).tril()[:, None]
        return rand(d, t, batch, size, 3, heads, 64), ids, mask

    others: dict[str, Call] = {"naive, mask given": _masked_naive}
    if is_gpu(device):
        others["efficient, mask given"] = _masked_sdpa
        others["flex, mask made inside"] = compiled(_flex_episodes)
    return Workload(
        name=f"attention causal segments/{batch}x{size}x{heads}x64",
        inputs=inputs,
        ours=lambda qkv, ids, _: attention_packed(qkv, segment_ids=ids, causal=True),
        reference=lambda qkv, ids, _: attention_reference(
            *qkv.unbind(2), segment_ids=ids, causal=True
        ),
        others=others,
        forward=(flops, 4 * tensor),
        backward=(2.5 * flops, 8 * tensor),
        few=lambda x: tuple(t[:2] for t in x),
        is_launch_bound=True,
    )


def decode_workload(device: torch.device, envs: int, keys: int) -> Workload:
    """One step of every environment, ``keys`` cached places each."""
    row = 8 * 64
    place = torch.full((envs,), keys - 1, device=device)

    def places(q: Tensor) -> dict[str, Tensor]:
        own = place[: len(q)].to(q.device)
        return {"place": own, "kv_len": own + 1}

    def sdpa(q: Tensor, k: Tensor, v: Tensor, cache_k: Tensor, cache_v: Tensor) -> Tensor:
        cache_k[:, keys - 1], cache_v[:, keys - 1] = k, v
        seen = F.scaled_dot_product_attention(
            q[:, :, None], cache_k[:, :keys].transpose(1, 2), cache_v[:, :keys].transpose(1, 2)
        )
        return seen[:, :, 0]

    def inputs(d: torch.device, t: torch.dtype) -> tuple[Tensor, ...]:
        steps = tuple(rand(d, t, envs, 8, 64) for _ in range(3))
        return *steps, *(rand(d, t, envs, 1024, 8, 64) for _ in range(2))

    return Workload(
        name=f"decode_attention/{envs}x{keys}",
        inputs=inputs,
        ours=lambda *x: decode_attention(*x, **places(x[0])),
        reference=lambda *x: decode_attention_reference(*x, **places(x[0])),
        others={"sdpa": sdpa},
        forward=(4.0 * envs * keys * row, 2.0 * envs * row * (2 * keys + 4)),
        few=lambda x: tuple(t[:2] for t in x),
        is_launch_bound=True,
    )


def pool_workload(device: torch.device, batch: int, size: int, width: int = 512) -> Workload:
    """The one-row layer's attention, and as SDPA on projected keys would read it."""

    def naive(x: Tensor, u: Tensor) -> Tensor:
        return (u @ x.transpose(1, 2)).softmax(-1) @ x

    others: dict[str, Call] = {"naive": naive}
    if is_gpu(device):
        others["compiled"] = compiled(naive)
    tensor = 2.0 * batch * size * width
    flops = 4.0 * batch * size * width * 8
    return Workload(
        name=f"pool_attention/{batch}x{size}",
        inputs=lambda d, t: (
            rand(d, t, batch, size, width),
            rand(d, t, batch, 8, width) * width**-0.5,
        ),
        ours=pool_attention,
        reference=pool_attention_reference,
        others=others,
        forward=(flops, tensor),
        backward=(2.5 * flops, 2 * tensor),
        few=lambda x: (x[0][:2], x[1][:2]),
        moving=(0, 1),
    )
