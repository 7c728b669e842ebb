"""What the kernels are timed on: inputs, our call, the other ways, operations and bytes."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from flare.kernels.add_layernorm import add_layernorm, add_layernorm_reference
from flare.kernels.add_rmsnorm import add_rmsnorm, add_rmsnorm_reference
from flare.kernels.attention import attention_packed
from flare.kernels.attention_reference import attention_reference
from flare.kernels.augment_patches import augment_patches, patches_reference
from flare.kernels.decode_attention import decode_attention, decode_attention_reference
from flare.kernels.gae import gae, gae_reference
from flare.kernels.layernorm_relu_token import (
    layernorm_relu_token,
    layernorm_relu_token_reference,
)
from flare.kernels.ln_pool import ln_pool, ln_pool_reference
from flare.kernels.pool_attention import pool_attention, pool_attention_reference
from flare.kernels.ppo_loss import ppo_loss, ppo_loss_reference
from flare.kernels.sample_action import sample_action, sample_action_reference
from flare.kernels.swiglu import swiglu, swiglu_reference

Call = Callable[..., Tensor]


@dataclass(frozen=True, kw_only=True)
class Workload:
    """One operation at one size."""

    name: str
    inputs: Callable[[torch.device, torch.dtype], tuple[Tensor, ...]]
    """Fresh random tensors of one set."""
    ours: Call
    reference: Call
    """In float64 of a few rows: the truth."""
    others: dict[str, Call]
    """Name to another way to the same result."""
    forward: tuple[float, float]
    """Operations and bytes that cannot be avoided."""
    backward: tuple[float, float] | None = None
    few: Callable[[tuple[Tensor, ...]], tuple[Tensor, ...]] = lambda x: x
    """The rows of the inputs that the truth is computed of."""
    is_launch_bound: bool = False
    """Timed as replays of a CUDA graph too."""
    dtype: torch.dtype = torch.bfloat16
    moving: tuple[int, ...] = (0,)
    """Inputs that get a gradient, where there is a backward pass."""
    limits: dict[str, float] = field(default_factory=lambda: {"forward": 4e-3, "backward": 5e-3})


def _rand(device: torch.device, dtype: torch.dtype, *shape: int) -> Tensor:
    return torch.randn(shape, device=device, dtype=torch.float32).to(dtype)


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


def _compiled(call: Call) -> Call:
    return torch.compile(call, dynamic=False)


def _is_gpu(device: torch.device) -> bool:
    return device.type == "cuda"


def attention_workload(device: torch.device, batch: int, size: int, heads: int) -> Workload:
    """Dense attention from a packed projection."""
    tensor = 2.0 * batch * size * heads * 64  # bytes of one of q, k, v and out
    flops = 4.0 * batch * heads * size * size * 64
    others: dict[str, Call] = {"naive": _naive}
    if _is_gpu(device):
        others.update(
            flash=_sdpa(SDPBackend.FLASH_ATTENTION),
            efficient=_sdpa(SDPBackend.EFFICIENT_ATTENTION),
            cudnn=_sdpa(SDPBackend.CUDNN_ATTENTION),
            flex=_compiled(_flex),
        )
    return Workload(
        name=f"attention/{batch}x{size}x{heads}x64",
        inputs=lambda d, t: (_rand(d, t, batch, size, 3, heads, 64),),
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
        return _rand(d, t, batch, size, 3, heads, 64), ids, mask

    others: dict[str, Call] = {"naive, mask given": _masked_naive}
    if _is_gpu(device):
        others["efficient, mask given"] = _masked_sdpa
        others["flex, mask made inside"] = _compiled(_flex_episodes)
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
        steps = tuple(_rand(d, t, envs, 8, 64) for _ in range(3))
        return *steps, *(_rand(d, t, envs, 1024, 8, 64) for _ in range(2))

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
    if _is_gpu(device):
        others["compiled"] = _compiled(naive)
    tensor = 2.0 * batch * size * width
    flops = 4.0 * batch * size * width * 8
    return Workload(
        name=f"pool_attention/{batch}x{size}",
        inputs=lambda d, t: (
            _rand(d, t, batch, size, width),
            _rand(d, t, batch, 8, width) * width**-0.5,
        ),
        ours=pool_attention,
        reference=pool_attention_reference,
        others=others,
        forward=(flops, tensor),
        backward=(2.5 * flops, 2 * tensor),
        few=lambda x: (x[0][:2], x[1][:2]),
        moving=(0, 1),
    )


def norm_workload(
    device: torch.device, name: str, rows: int, width: int, ours: Call, reference: Call,
    plain: Call, weights: int,
) -> Workload:  # fmt: skip
    """A norm and the residual before it."""
    tensor = 2.0 * rows * width
    return Workload(
        name=f"{name}/{rows}x{width}",
        inputs=lambda d, t: (
            _rand(d, t, rows, width),
            _rand(d, t, rows, width),
            *(_rand(d, t, width) for _ in range(weights)),
        ),
        ours=ours,
        reference=reference,
        others={"pytorch": plain, "compiled": _compiled(plain)}
        if _is_gpu(device)
        else {"pytorch": plain},
        forward=(0.0, 4 * tensor),  # reads a and r, writes their sum and y
        backward=(0.0, 3 * tensor),
        few=lambda x: (x[0][:64], x[1][:64], *x[2:]),
        is_launch_bound=rows < 100_000,
        moving=tuple(range(2 + weights)),
    )


def _plain_layernorm(a: Tensor, r: Tensor, w: Tensor, b: Tensor) -> Tensor:
    return F.layer_norm(a + r, a.shape[-1:], w, b)


def _plain_rmsnorm(x: Tensor, r: Tensor, w: Tensor) -> Tensor:
    return F.rms_norm(x + r, x.shape[-1:], w, 1e-5)


def _rmsnorm_workload(device: torch.device, rows: int, width: int) -> Workload:
    return norm_workload(
        device, "add_rmsnorm", rows, width, lambda *x: add_rmsnorm(*x)[0],
        lambda *x: add_rmsnorm_reference(*x)[0], _plain_rmsnorm, 1,
    )  # fmt: skip


def _plain_swiglu(x: Tensor) -> Tensor:
    gate, value = x.chunk(2, -1)
    return F.silu(gate) * value


def swiglu_workload(device: torch.device, rows: int, width: int) -> Workload:
    """The gate of the decoder's feed-forward."""
    tensor = 2.0 * rows * width
    others: dict[str, Call] = {"pytorch": _plain_swiglu}
    if _is_gpu(device):
        others["compiled"] = _compiled(_plain_swiglu)
    return Workload(
        name=f"swiglu/{rows}x{width}",
        inputs=lambda d, t: (_rand(d, t, rows, 2 * width),),
        ours=swiglu,
        reference=swiglu_reference,
        others=others,
        forward=(0.0, 3 * tensor),
        backward=(0.0, 5 * tensor),
        few=lambda x: (x[0][:64],),
        is_launch_bound=True,
    )


def sequence_workload(device: torch.device, frames: int, region: int, width: int) -> Workload:
    """The fusion transformer's input from cells and text."""
    index = torch.arange(frames, device=device) % 16

    def ours(x: Tensor, w: Tensor, b: Tensor, t: Tensor, f: Tensor, tail: Tensor) -> Tensor:
        return layernorm_relu_token(x, w, b, t, first=f, tail=tail, index=index[: len(x)])

    def plain(x: Tensor, w: Tensor, b: Tensor, t: Tensor, f: Tensor, tail: Tensor) -> Tensor:
        return layernorm_relu_token_reference(
            x, w, b, t, first=f, tail=tail, index=index[: len(x)].to(x.device), upcast=False
        )

    others: dict[str, Call] = {"pytorch": plain}
    if _is_gpu(device):
        others["compiled"] = _compiled(plain)
    rows = 2.0 * frames * width
    cells, size = 2 * region, 1 + 2 * region + 12
    return Workload(
        name=f"layernorm_relu_token/{frames}",
        inputs=lambda d, t: (
            _rand(d, t, frames, 2, region, width),
            _rand(d, t, width),
            _rand(d, t, width),
            _rand(d, t, 2, width),
            _rand(d, t, width),
            _rand(d, t, 16, 12, width),
        ),
        ours=ours,
        reference=plain,
        others=others,
        forward=(0.0, rows * (cells + size)),
        backward=(0.0, rows * (2 * cells + size)),
        few=lambda x: (x[0][:3], *x[1:]),
        moving=tuple(range(6)),
    )


def ln_pool_workload(device: torch.device, images: int) -> Workload:
    """The end of the vision transformer."""
    shape = {"patches": (16, 27), "grid": (7, 12)}

    def plain(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
        return ln_pool_reference(x, w, b, **shape, upcast=False)

    others: dict[str, Call] = {"pytorch": plain}
    if _is_gpu(device):
        others["compiled"] = _compiled(plain)
    return Workload(
        name=f"ln_pool/{images}x433x384",
        inputs=lambda d, t: (_rand(d, t, images, 433, 384), _rand(d, t, 384), _rand(d, t, 384)),
        ours=lambda *x: ln_pool(*x, **shape),
        reference=lambda *x: ln_pool_reference(*x, **shape),
        others=others,
        forward=(0.0, 2.0 * images * 384 * (433 + 84)),
        is_launch_bound=True,
        few=lambda x: (x[0][:2], *x[1:]),
    )


def augment_workload(device: torch.device, images: int, height: int, width: int) -> Workload:
    """Frames to augmented patches."""
    params = torch.rand(images, 15)
    params[:, :4] = torch.argsort(params[:, :4], 1).float()
    params[:, 4:7], params[:, 7] = 0.8 + 0.4 * params[:, 4:7], 0.05 * params[:, 7]
    params[:, 8] = 0.1 + 1.9 * params[:, 8]
    params[:, 9:13] = torch.tensor([0.03, 0.05, 0.9, 0.93])
    params[:, 13], params[:, 14] = 240.0, (params[:, 14] < 0.5).float()
    cut = {"patch": 14, "grid": (height // 14, width // 14)}

    def inputs(d: torch.device, _: torch.dtype) -> tuple[Tensor, ...]:
        return (torch.randint(0, 256, (images, height, width, 3), dtype=torch.uint8, device=d),)

    def plain(x: Tensor) -> Tensor:
        return patches_reference(x, params[: len(x)], **cut, dtype=torch.bfloat16)

    return Workload(
        name=f"augment_patches/{images}",
        inputs=inputs,
        ours=lambda x: augment_patches(x, params[: len(x)], **cut),
        reference=plain,
        others={"pytorch": plain},
        forward=(0.0, images * height * width * 3 * 3.0),
        few=lambda x: (x[0][:4],),
        limits={"forward": 5e-3},  # a pixel between two whole numbers may fall either way
    )


def small_workloads(device: torch.device) -> Iterator[Workload]:
    """What is one launch, and many in PyTorch."""

    def flags(d: torch.device) -> tuple[Tensor, ...]:
        return tuple(torch.rand(128, 32, device=d) < 0.02 for _ in range(2))

    yield Workload(
        name="gae/128x32",
        inputs=lambda d, t: (
            _rand(d, t, 128, 32),
            _rand(d, t, 129, 32),
            *flags(d),
            _rand(d, t, 128, 32),
        ),
        ours=lambda *x: gae(*x, 0.99, 0.95)[0],
        reference=lambda *x: gae_reference(*x, 0.99, 0.95)[0],
        others={"loop": lambda *x: gae_reference(*x, 0.99, 0.95, upcast=False)[0]},
        forward=(0.0, 4.0 * 128 * 32 * 5.5),
        dtype=torch.float32,
        is_launch_bound=True,
        limits={"forward": 1e-5},
    )
    yield Workload(
        name="sample_action/32x20",
        inputs=lambda d, t: (_rand(d, t, 32, 20), torch.rand(32, device=d)),
        ours=lambda *x: sample_action(*x)[1],
        reference=lambda *x: sample_action_reference(*x)[1],
        others={"pytorch": lambda *x: sample_action_reference(*x)[1]},
        forward=(0.0, 4.0 * 32 * 25),
        dtype=torch.float32,
        is_launch_bound=True,
        limits={"forward": 1e-5},
    )
    settings = {"clip_coef": 0.1, "value_loss_coef": 0.5}
    yield Workload(
        name="ppo_loss/4096x20",
        inputs=lambda d, t: (
            _rand(d, t, 4096, 20),
            _rand(d, t, 4096),
            torch.randint(0, 20, (4096,), device=d),
            _rand(d, t, 4096) / 10 - 3,
            _rand(d, t, 4096),
            _rand(d, t, 4096),
        ),
        ours=lambda *x: ppo_loss(*x, **settings)[0],
        reference=lambda *x: ppo_loss_reference(*x, **settings)[0],
        others={"pytorch": lambda *x: ppo_loss_reference(*x, **settings, upcast=False)[0]},
        forward=(0.0, 4.0 * 4096 * 46),
        backward=(0.0, 4.0 * 4096 * 42),
        dtype=torch.float32,
        moving=(0, 1),
        limits={"forward": 1e-5, "backward": 1e-5},
    )


def workloads(device: torch.device) -> Iterator[Workload]:
    """All sizes on a GPU; tiny ones for the interpreter."""
    if not _is_gpu(device):
        yield attention_workload(device, 1, 70, 1)
        yield episodes_workload(device, 1, 33, 1)
        yield decode_workload(device, 1, 9)
        yield pool_workload(device, 1, 33, 64)
        yield norm_workload(device, "add_layernorm", 5, 64, add_layernorm,
                            add_layernorm_reference, _plain_layernorm, 2)  # fmt: skip
        yield _rmsnorm_workload(device, 5, 64)
        yield swiglu_workload(device, 3, 40)
        yield sequence_workload(device, 3, 4, 24)
        return
    for batch, size, heads in ((4096, 181, 8), (512, 181, 8), (64, 433, 6), (16, 433, 6)):
        yield attention_workload(device, batch, size, heads)
    yield episodes_workload(device, 32, 128, 8)
    for envs, keys in ((8, 129), (64, 129), (64, 1000)):
        yield decode_workload(device, envs, keys)
    yield pool_workload(device, 4096, 181)
    yield norm_workload(device, "add_layernorm", 741_376, 512, add_layernorm,
                        add_layernorm_reference, _plain_layernorm, 2)  # fmt: skip
    yield _rmsnorm_workload(device, 4096, 512)
    yield swiglu_workload(device, 4096, 1536)
    yield sequence_workload(device, 4096, 84, 512)
    yield ln_pool_workload(device, 64)
    yield augment_workload(device, 64, 224, 384)
    yield from small_workloads(device)
