"""What the kernels are timed on: inputs, our call, the other ways, operations and bytes."""

from collections.abc import Iterator

import torch
from torch import Tensor

from benchmarks.attention_workloads import (
    attention_workload,
    decode_workload,
    episodes_workload,
    pool_workload,
)
from benchmarks.kernel_workload import Call, Workload, compiled, is_gpu, rand
from benchmarks.row_workloads import (
    layernorm_workload,
    rmsnorm_workload,
    sequence_workload,
    swiglu_workload,
)
from flare.kernels.augment_patches import augment_patches, patches_reference
from flare.kernels.gae import gae, gae_reference
from flare.kernels.ln_pool import ln_pool, ln_pool_reference
from flare.kernels.ppo_loss import ppo_loss, ppo_loss_reference
from flare.kernels.sample_action import sample_action, sample_action_reference


def ln_pool_workload(device: torch.device, images: int) -> Workload:
    """The end of the vision transformer."""
    shape = {"patches": (16, 27), "grid": (7, 12)}

    def plain(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
        return ln_pool_reference(x, w, b, **shape, upcast=False)

    others: dict[str, Call] = {"pytorch": plain}
    if is_gpu(device):
        others["compiled"] = compiled(plain)
    return Workload(
        name=f"ln_pool/{images}x433x384",
        inputs=lambda d, t: (rand(d, t, images, 433, 384), rand(d, t, 384), rand(d, t, 384)),
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
            rand(d, t, 128, 32),
            rand(d, t, 129, 32),
            *flags(d),
            rand(d, t, 128, 32),
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
        inputs=lambda d, t: (rand(d, t, 32, 20), torch.rand(32, device=d)),
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
            rand(d, t, 4096, 20),
            rand(d, t, 4096),
            torch.randint(0, 20, (4096,), device=d),
            rand(d, t, 4096) / 10 - 3,
            rand(d, t, 4096),
            rand(d, t, 4096),
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
    if not is_gpu(device):
        yield attention_workload(device, 1, 70, 1)
        yield episodes_workload(device, 1, 33, 1)
        yield decode_workload(device, 1, 9)
        yield pool_workload(device, 1, 33, 64)
        yield layernorm_workload(device, 5, 64)
        yield rmsnorm_workload(device, 5, 64)
        yield swiglu_workload(device, 3, 40)
        yield sequence_workload(device, 3, 4, 24)
        return
    for batch, size, heads in ((4096, 181, 8), (512, 181, 8), (64, 433, 6), (16, 433, 6)):
        yield attention_workload(device, batch, size, heads)
    yield episodes_workload(device, 32, 128, 8)
    for envs, keys in ((8, 129), (64, 129), (64, 1000)):
        yield decode_workload(device, envs, keys)
    yield pool_workload(device, 4096, 181)
    yield layernorm_workload(device, 741_376, 512)
    yield rmsnorm_workload(device, 4096, 512)
    yield swiglu_workload(device, 4096, 1536)
    yield sequence_workload(device, 4096, 84, 512)
    yield ln_pool_workload(device, 64)
    yield augment_workload(device, 64, 224, 384)
    yield from small_workloads(device)
