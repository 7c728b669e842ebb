"""Triton kernels of ``attention``: one forward, one backward.

Forward: one program per (block of queries, head, row), query blocks fastest so that the programs
that run together share keys and values in L2; a running maximum and sum over tiles of keys, in
base 2. Backward: one program per (head, row) sweeps twice. The first sweep goes over the queries,
forms ``delta = rowsum(dO·O)`` and writes dQ; the second goes over the keys and writes dK and dV.
The scores are formed anew in each, the second time transposed by swapping the operands: the result
of a product is never transposed for another. No atomics, so two runs give the same bits.
"""

# mypy: disable-error-code="no-untyped-def"

from flare.kernels._launch import jit, tl

LOG2E = tl.constexpr(1.4426950408889634)


@jit
def _dot(a, b, acc, EMU: tl.constexpr):
    if EMU:
        return tl.dot(a.to(tl.float32), b.to(tl.float32), acc, input_precision="ieee")
    return tl.dot(a, b, acc, input_precision="tf32x3")


@jit
def _tile(base, offs, stride, size, D: tl.constexpr, BLOCK_D: tl.constexpr):
    """Rows ``offs`` of a [size, D] matrix, zeros outside: [BLOCK, BLOCK_D]."""
    offs_d = tl.arange(0, BLOCK_D)
    mask = offs[:, None] < size
    if BLOCK_D != D:
        mask &= offs_d[None, :] < D
    return tl.load(base + offs[:, None] * stride + offs_d[None, :], mask=mask, other=0.0)


@jit
def _store_tile(base, offs, stride, size, x, D: tl.constexpr, BLOCK_D: tl.constexpr):
    offs_d = tl.arange(0, BLOCK_D)
    mask = offs[:, None] < size
    if BLOCK_D != D:
        mask &= offs_d[None, :] < D
    tl.store(
        base + offs[:, None] * stride + offs_d[None, :], x.to(base.dtype.element_ty), mask=mask
    )


@jit
def _kept(seed, batch_head, i, j, size_k, keep_below):
    """Which weights dropout keeps: Philox keyed by (seed; pair, row · head)."""
    pair = (i * size_k + j).to(tl.uint32)
    zeros = pair * 0
    bits, _, _, _ = tl.philox(seed, pair, zeros + batch_head.to(tl.uint32), zeros, zeros)
    return bits < keep_below.to(tl.uint32)


@jit
def _online(
    q, k, v, visible, acc, top, total, scale, seed, batch_head, i, j, size_k, keep_below,
    keep_scale,
    MASKED: tl.constexpr, HAS_DROPOUT: tl.constexpr, EMU: tl.constexpr,
):  # fmt: skip
    """Take one tile of keys into the running softmax; scale is in base 2."""
    scores = _dot(q, tl.trans(k), tl.zeros([q.shape[0], k.shape[0]], tl.float32), EMU) * scale
    if MASKED:
        scores = tl.where(visible, scores, -float("inf"))
    higher = tl.maximum(top, tl.max(scores, 1))
    # A row that saw no key yet keeps -inf as its maximum; its differences must not become NaN.
    safe = tl.where(higher == -float("inf"), 0.0, higher) if MASKED else higher
    weights = tl.exp2(scores - safe[:, None])
    shrink = tl.exp2(top - safe)
    total = total * shrink + tl.sum(weights, 1)
    if HAS_DROPOUT:
        kept = _kept(seed, batch_head, i[:, None], j[None, :], size_k, keep_below)
        weights = tl.where(kept, weights * keep_scale, 0.0)
    acc = _dot(weights.to(v.dtype), v, acc * shrink[:, None], EMU)
    return acc, higher, total


@jit
def attention_fwd_kernel(
    q, k, v, out, lse, kv_len, segments, prefix_k, prefix_v, prefix_len, seed,
    q_b, q_s, q_h, k_b, k_s, k_h, v_b, v_s, v_h, o_b, o_s, o_h, p_b, p_s, p_h,
    heads, size_q, size_k, size_p, scale, keep_below, keep_scale,
    D: tl.constexpr, BLOCK_D: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
    CAUSAL: tl.constexpr, HAS_LEN: tl.constexpr, HAS_SEGMENTS: tl.constexpr,
    HAS_PREFIX: tl.constexpr, HAS_DROPOUT: tl.constexpr, EMU: tl.constexpr,
):  # fmt: skip
    """Out [B, Sq, H, D] and lse [B, H, Sq]; see ``attention``."""
    blocks = tl.cdiv(size_q, BLOCK_M)
    program = tl.program_id(0)
    block = program % blocks
    batch_head = program // blocks
    head = (batch_head % heads).to(tl.int64)
    row = (batch_head // heads).to(tl.int64)
    i = block * BLOCK_M + tl.arange(0, BLOCK_M)
    queries = _tile(q + row * q_b + head * q_h, i, q_s, size_q, D, BLOCK_D)  # [BLOCK_M, D]
    seed_value = tl.load(seed) if HAS_DROPOUT else 0
    # Segments of padding rows differ from every real one's.
    own = i
    if HAS_SEGMENTS:
        own = tl.load(segments + row * size_q + i, mask=i < size_q, other=-1)
    acc = tl.zeros([BLOCK_M, BLOCK_D], tl.float32)
    top = tl.full([BLOCK_M], -float("inf"), tl.float32)
    total = tl.zeros([BLOCK_M], tl.float32)
    if HAS_PREFIX:
        remembered = tl.load(prefix_len + row).to(tl.int32)
        for start in range(0, remembered, BLOCK_N):
            j = start + tl.arange(0, BLOCK_N)
            keys = _tile(prefix_k + row * p_b + head * p_h, j, p_s, remembered, D, BLOCK_D)
            values = _tile(prefix_v + row * p_b + head * p_h, j, p_s, remembered, D, BLOCK_D)
            visible = (j < remembered)[None, :] & (i >= 0)[:, None]
            if HAS_SEGMENTS:
                visible &= (own == 0)[:, None]
            acc, top, total = _online(
                queries, keys, values, visible, acc, top, total, scale, seed_value, batch_head,
                i, size_k + j, size_k + size_p, keep_below, keep_scale, True, HAS_DROPOUT, EMU,
            )  # fmt: skip
    stop = size_k
    if HAS_LEN:
        stop = tl.minimum(tl.load(kv_len + row).to(tl.int32), size_k)
    if CAUSAL:
        stop = tl.minimum(stop, (block + 1) * BLOCK_M)
    k += row * k_b + head * k_h
    v += row * v_b + head * v_h
    # Tiles that every query sees whole need no mask.
    whole = 0
    if not (CAUSAL or HAS_SEGMENTS):
        whole = stop // BLOCK_N * BLOCK_N
    for start in range(0, whole, BLOCK_N):
        j = start + tl.arange(0, BLOCK_N)
        keys = _tile(k, j, k_s, size_k, D, BLOCK_D)
        values = _tile(v, j, v_s, size_k, D, BLOCK_D)
        acc, top, total = _online(
            queries, keys, values, None, acc, top, total, scale, seed_value, batch_head,
            i, j, size_k + size_p, keep_below, keep_scale, False, HAS_DROPOUT, EMU,
        )  # fmt: skip
    for start in range(whole, stop, BLOCK_N):
        j = start + tl.arange(0, BLOCK_N)
        keys = _tile(k, j, k_s, stop, D, BLOCK_D)
        values = _tile(v, j, v_s, stop, D, BLOCK_D)
        visible = (j < stop)[None, :] & (i >= 0)[:, None]
        if CAUSAL:
            visible &= j[None, :] <= i[:, None]
        if HAS_SEGMENTS:
            theirs = tl.load(segments + row * size_q + j, mask=j < stop, other=-2)
            visible &= own[:, None] == theirs[None, :]
        acc, top, total = _online(
            queries, keys, values, visible, acc, top, total, scale, seed_value, batch_head,
            i, j, size_k + size_p, keep_below, keep_scale, True, HAS_DROPOUT, EMU,
        )  # fmt: skip
    seen = total > 0.0
    acc = acc * tl.where(seen, 1.0 / tl.where(seen, total, 1.0), 0.0)[:, None]
    _store_tile(out + row * o_b + head * o_h, i, o_s, size_q, acc, D, BLOCK_D)
    log_sum = tl.where(seen, top + tl.log2(tl.where(seen, total, 1.0)), -float("inf"))
    tl.store(lse + batch_head.to(tl.int64) * size_q + i, log_sum, mask=i < size_q)


@jit
def _softmax_tile(scores, log_sum, visible, MASKED: tl.constexpr):
    """Weights of a tile from its scores and the rows' log-sums, all in base 2."""
    if MASKED:
        scores = tl.where(visible, scores, -float("inf"))
    return tl.exp2(scores - log_sum)


@jit
def attention_bwd_kernel(
    q, k, v, out, grad, lse, delta, grad_q, grad_k, grad_v,
    kv_len, segments, prefix_k, prefix_v, prefix_len, seed,
    q_b, q_s, q_h, k_b, k_s, k_h, v_b, v_s, v_h, o_b, o_s, o_h, g_b, g_s, g_h,
    dq_b, dq_s, dq_h, dk_b, dk_s, dk_h, dv_b, dv_s, dv_h, p_b, p_s, p_h,
    heads, size_q, size_k, size_p, scale, keep_below, keep_scale,
    D: tl.constexpr, BLOCK_D: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
    CAUSAL: tl.constexpr, HAS_LEN: tl.constexpr, HAS_SEGMENTS: tl.constexpr,
    HAS_PREFIX: tl.constexpr, HAS_DROPOUT: tl.constexpr, EMU: tl.constexpr,
):  # fmt: skip
    """grad_q, grad_k and grad_v; delta [B, H, Sq] float32 is a scratch array."""
    batch_head = tl.program_id(0)
    head = (batch_head % heads).to(tl.int64)
    row = (batch_head // heads).to(tl.int64)
    q += row * q_b + head * q_h
    k += row * k_b + head * k_h
    v += row * v_b + head * v_h
    out += row * o_b + head * o_h
    grad += row * g_b + head * g_h
    lse += batch_head.to(tl.int64) * size_q
    delta += batch_head.to(tl.int64) * size_q
    scale2 = scale * LOG2E
    seed_value = tl.load(seed) if HAS_DROPOUT else 0
    length = size_k
    if HAS_LEN:
        length = tl.minimum(tl.load(kv_len + row).to(tl.int32), size_k)
    for first in range(0, size_q, BLOCK_M):
        i = first + tl.arange(0, BLOCK_M)
        queries = _tile(q, i, q_s, size_q, D, BLOCK_D)
        grads = _tile(grad, i, g_s, size_q, D, BLOCK_D)
        outs = _tile(out, i, o_s, size_q, D, BLOCK_D)
        log_sum = tl.load(lse + i, mask=i < size_q, other=-float("inf"))
        # A query without keys has weights of zero, exp2(-inf - inf), and so has padding.
        log_sum = tl.where(log_sum == -float("inf"), float("inf"), log_sum)
        shared = tl.sum(grads.to(tl.float32) * outs.to(tl.float32), 1)
        tl.store(delta + i, shared, mask=i < size_q)
        own = i
        if HAS_SEGMENTS:
            own = tl.load(segments + row * size_q + i, mask=i < size_q, other=-1)
        acc = tl.zeros([BLOCK_M, BLOCK_D], tl.float32)
        if HAS_PREFIX:
            remembered = tl.load(prefix_len + row).to(tl.int32)
            for start in range(0, remembered, BLOCK_N):
                j = start + tl.arange(0, BLOCK_N)
                keys = _tile(prefix_k + row * p_b + head * p_h, j, p_s, remembered, D, BLOCK_D)
                values = _tile(prefix_v + row * p_b + head * p_h, j, p_s, remembered, D, BLOCK_D)
                zeros = tl.zeros([BLOCK_M, BLOCK_N], tl.float32)
                scores = _dot(queries, tl.trans(keys), zeros, EMU) * scale2
                visible = (j < remembered)[None, :] & (i >= 0)[:, None]
                if HAS_SEGMENTS:
                    visible &= (own == 0)[:, None]
                weights = _softmax_tile(scores, log_sum[:, None], visible, True)
                slope = _dot(grads, tl.trans(values), zeros, EMU)
                if HAS_DROPOUT:
                    kept = _kept(seed_value, batch_head, i[:, None], size_k + j[None, :],
                                 size_k + size_p, keep_below)  # fmt: skip
                    slope = tl.where(kept, slope * keep_scale, 0.0)
                push = weights * (slope - shared[:, None])
                acc = _dot(push.to(keys.dtype), keys, acc, EMU)
        stop = length
        if CAUSAL:
            stop = tl.minimum(stop, first + BLOCK_M)
        for start in range(0, stop, BLOCK_N):
            j = start + tl.arange(0, BLOCK_N)
            keys = _tile(k, j, k_s, stop, D, BLOCK_D)
            values = _tile(v, j, v_s, stop, D, BLOCK_D)
            zeros = tl.zeros([BLOCK_M, BLOCK_N], tl.float32)
            scores = _dot(queries, tl.trans(keys), zeros, EMU) * scale2
            visible = (j < stop)[None, :] & (i >= 0)[:, None]
            if CAUSAL:
                visible &= j[None, :] <= i[:, None]
            if HAS_SEGMENTS:
                theirs = tl.load(segments + row * size_q + j, mask=j < stop, other=-2)
                visible &= own[:, None] == theirs[None, :]
            weights = _softmax_tile(scores, log_sum[:, None], visible, True)
            slope = _dot(grads, tl.trans(values), zeros, EMU)
            if HAS_DROPOUT:
                kept = _kept(seed_value, batch_head, i[:, None], j[None, :], size_k + size_p,
                             keep_below)  # fmt: skip
                slope = tl.where(kept, slope * keep_scale, 0.0)
            push = weights * (slope - shared[:, None])
            acc = _dot(push.to(keys.dtype), keys, acc, EMU)
        _store_tile(grad_q + row * dq_b + head * dq_h, i, dq_s, size_q, acc * scale, D, BLOCK_D)
    # What one thread wrote to delta others read now.
    tl.debug_barrier()
    for start in range(0, size_k, BLOCK_N):
        j = start + tl.arange(0, BLOCK_N)
        keys = _tile(k, j, k_s, size_k, D, BLOCK_D)
        values = _tile(v, j, v_s, size_k, D, BLOCK_D)
        theirs = j
        if HAS_SEGMENTS:
            theirs = tl.load(segments + row * size_q + j, mask=j < size_k, other=-2)
        acc_k = tl.zeros([BLOCK_N, BLOCK_D], tl.float32)
        acc_v = tl.zeros([BLOCK_N, BLOCK_D], tl.float32)
        begin = 0
        if CAUSAL:
            begin = start // BLOCK_M * BLOCK_M
        end = size_q
        if HAS_LEN:
            end = tl.where(start < length, size_q, 0)
        for first in range(begin, end, BLOCK_M):
            i = first + tl.arange(0, BLOCK_M)
            queries = _tile(q, i, q_s, size_q, D, BLOCK_D)
            grads = _tile(grad, i, g_s, size_q, D, BLOCK_D)
            log_sum = tl.load(lse + i, mask=i < size_q, other=-float("inf"))
            log_sum = tl.where(log_sum == -float("inf"), float("inf"), log_sum)
            shared = tl.load(delta + i, mask=i < size_q, other=0.0)
            zeros = tl.zeros([BLOCK_N, BLOCK_M], tl.float32)
            scores = _dot(keys, tl.trans(queries), zeros, EMU) * scale2  # [keys, queries]
            visible = (j < length)[:, None] & (i >= 0)[None, :]
            if CAUSAL:
                visible &= j[:, None] <= i[None, :]
            if HAS_SEGMENTS:
                own = tl.load(segments + row * size_q + i, mask=i < size_q, other=-1)
                visible &= theirs[:, None] == own[None, :]
            weights = _softmax_tile(scores, log_sum[None, :], visible, True)
            slope = _dot(values, tl.trans(grads), zeros, EMU)
            used = weights
            if HAS_DROPOUT:
                kept = _kept(seed_value, batch_head, i[None, :], j[:, None], size_k + size_p,
                             keep_below)  # fmt: skip
                slope = tl.where(kept, slope * keep_scale, 0.0)
                used = tl.where(kept, weights * keep_scale, 0.0)
            acc_v = _dot(used.to(grads.dtype), grads, acc_v, EMU)
            push = weights * (slope - shared[None, :])
            acc_k = _dot(push.to(queries.dtype), queries, acc_k, EMU)
        _store_tile(grad_k + row * dk_b + head * dk_h, j, dk_s, size_k, acc_k * scale, D, BLOCK_D)
        _store_tile(grad_v + row * dv_b + head * dv_h, j, dv_s, size_k, acc_v, D, BLOCK_D)
