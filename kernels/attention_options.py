"""What a call of ``attention`` asks for beside queries, keys and values, checked."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Options:
    """What a call asks for beside q, k and v."""

    kv_len: Tensor | None
    segment_ids: Tensor | None
    causal: bool
    prefix_k: Tensor | None
    prefix_v: Tensor | None
    prefix_len: Tensor | None
    scale: float
    dropout_p: float
    seed: Tensor | None

    @property
    def prefix_size(self) -> int:
        """P."""
        return 0 if self.prefix_k is None else self.prefix_k.shape[1]

    def contiguous(self) -> "Options":
        """The same with tensors as the kernels read them."""

        def whole(x: Tensor | None) -> Tensor | None:
            return None if x is None else x.contiguous()

        return Options(
            whole(self.kv_len), whole(self.segment_ids), self.causal, whole(self.prefix_k),
            whole(self.prefix_v), whole(self.prefix_len), self.scale, self.dropout_p, self.seed,
        )  # fmt: skip


def checked_options(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    kv_len: Tensor | None = None,
    segment_ids: Tensor | None = None,
    causal: bool = False,
    prefix_k: Tensor | None = None,
    prefix_v: Tensor | None = None,
    prefix_len: Tensor | None = None,
    scale: float | None = None,
    dropout_p: float = 0.0,
    seed: Tensor | None = None,
) -> Options:
    """Check what a call was given."""
    _check_tensors(q, k, v)
    batch, size_q = q.shape[:2]
    if (causal or segment_ids is not None) and k.shape[1] != size_q:
        raise ValueError(
            f"causal attention and segments need as many keys as queries, got {k.shape[1]} and "
            f"{size_q}"
        )
    _check_integers("kv_len", kv_len, (batch,))
    _check_integers("segment_ids", segment_ids, (batch, size_q))
    _check_integers("prefix_len", prefix_len, (batch,))
    _check_prefix(q, prefix_k, prefix_v, prefix_len)
    if scale is not None and not scale > 0.0:
        raise ValueError(f"scale must be above 0, got {scale}")
    if not 0.0 <= dropout_p < 1.0:
        raise ValueError(f"dropout_p must be at least 0 and below 1, got {dropout_p}")
    if dropout_p and (seed is None or seed.dtype != torch.int64 or seed.numel() != 1):
        raise ValueError("dropout needs a seed, a tensor of one int64")
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    return Options(
        kv_len, segment_ids, causal, prefix_k, prefix_v, prefix_len, scale, dropout_p, seed
    )


def _check_tensors(q: Tensor, k: Tensor, v: Tensor) -> None:
    if q.dim() != 4 or k.shape != v.shape or k.dim() != 4 or _but_size(k) != _but_size(q):
        raise ValueError(
            "q must be [B, Sq, H, D] and k and v [B, Sk, H, D], "
            f"got {list(q.shape)}, {list(k.shape)}, {list(v.shape)}"
        )
    if not q.is_floating_point() or k.dtype != q.dtype or v.dtype != q.dtype:
        raise ValueError(
            f"q, k and v must share one floating dtype, got {q.dtype}, {k.dtype}, {v.dtype}"
        )
    if k.device != q.device or v.device != q.device:
        raise ValueError(
            f"q, k and v must be on one device, got {q.device}, {k.device}, {v.device}"
        )


def _but_size(x: Tensor) -> tuple[int, ...]:
    return (x.shape[0], *x.shape[2:])


def _check_integers(name: str, x: Tensor | None, shape: tuple[int, ...]) -> None:
    if x is not None and (x.shape != shape or x.is_floating_point()):
        raise ValueError(f"{name} must be integers {list(shape)}, got {x.dtype} {list(x.shape)}")


def _check_prefix(
    q: Tensor, prefix_k: Tensor | None, prefix_v: Tensor | None, prefix_len: Tensor | None
) -> None:
    if prefix_k is None and prefix_v is None and prefix_len is None:
        return
    if prefix_k is None or prefix_v is None or prefix_len is None:
        raise ValueError("prefix_k, prefix_v and prefix_len must be given together")
    if _but_size(prefix_k) != _but_size(q) or prefix_v.shape != prefix_k.shape:
        raise ValueError(
            f"prefix_k and prefix_v must be [{q.shape[0]}, P, {q.shape[2]}, {q.shape[3]}], "
            f"got {list(prefix_k.shape)}, {list(prefix_v.shape)}"
        )
    if prefix_k.dtype != q.dtype or prefix_v.dtype != q.dtype:
        raise ValueError(f"the prefix must be {q.dtype}, got {prefix_k.dtype}, {prefix_v.dtype}")
    if prefix_k.requires_grad or prefix_v.requires_grad:
        raise ValueError("a prefix is a constant, but this one asks for a gradient")
