"""Triton kernels of ``attention``: one forward, two backward.

Forward: one program per (block of queries, head, row), query blocks fastest so that the programs
that run together share keys and values in L2; a running maximum and sum over tiles of keys, in
base 2. Backward: one kernel over blocks of queries forms ``delta = rowsum(dO·O)`` and writes dQ,
one over blocks of keys then reads delta and writes dK and dV. Each forms the scores anew, the
second transposed by swapping the operands: the result of a product is never transposed for another.
No atomics, so two runs give the same bits.

The exponent is formed as ``fma(q·k, scale, -m)`` everywhere, so that the product with the scale is
never rounded by itself. Were it rounded in the forward pass and not in the backward (a compiler is
free to fuse one and not the other), the weights of scores in the thousands would differ between the
two by 1e-4: rows of dS would no longer sum to zero, and a part that all keys share would not cancel
from dQ. The scale must be positive, for the maximum is taken before it is applied.
"""

# mypy: disable-error-code="no-untyped-def"

from flare.kernels._launch import jit, tl
from flare.kernels._matrix import dot, rows, store_rows


@jit
def _kept(seed, batch_head, i, j, size_k, keep_below):
    """Which weights dropout keeps: Philox keyed by (seed; pair, row · head)."""
    pair = (i * size_k + j).to(tl.uint32)
    zeros = pair * 0
    bits, _, _, _ = tl.philox(seed, pair, zeros + batch_head.to(tl.uint32), zeros, zeros)
    return bits < keep_below.to(tl.uint32)


@jit
def _take(
    scores, v, visible, acc, top, total, scale, seed, batch_head, i, j, size_k, keep_below,
    keep_scale,
    MASKED: tl.constexpr, HAS_DROPOUT: tl.constexpr, EMU: tl.constexpr,
):  # fmt: skip
    """Take the products of one tile of keys into the running softmax; scale, top in base 2."""
    if MASKED:
        scores = tl.where(visible, scores, -float("inf"))
    higher = tl.maximum(top, tl.max(scores, 1) * scale)
    # A row that saw no key yet keeps -inf as its maximum; its differences must not become NaN.
    safe = tl.where(higher == -float("inf"), 0.0, higher) if MASKED else higher
    weights = tl.exp2(tl.fma(scores, scale, -safe[:, None]))
    shrink = tl.exp2(top - safe)
    total = total * shrink + tl.sum(weights, 1)
    if HAS_DROPOUT:
        kept = _kept(seed, batch_head, i[:, None], j[None, :], size_k, keep_below)
        weights = tl.where(kept, weights * keep_scale, 0.0)
    acc = dot(weights.to(v.dtype), v, acc * shrink[:, None], EMU)
    return acc, higher, total


@jit
def attention_fwd_kernel(
    q, k, v, out, lse, kv_len, segments, prefix_k, prefix_v, prefix_len, seed,
    q_b, q_s, q_h, k_b, k_s, k_h, v_b, v_s, v_h, o_b, o_s, o_h, p_b, p_s, p_h,
    heads, size_q, size_k, size_p, scale, keep_below, keep_scale,
    D: tl.constexpr, BLOCK_D: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
    CAUSAL: tl.constexpr, HAS_LEN: tl.constexpr, HAS_SEGMENTS: tl.constexpr,
    HAS_PREFIX: tl.constexpr, HAS_DROPOUT: tl.constexpr, HAS_LSE: tl.constexpr,
    EMU: tl.constexpr,
):  # fmt: skip
    """Out [B, Sq, H, D] and, where asked for, lse [B, H, Sq]; see ``attention``."""
    blocks = tl.cdiv(size_q, BLOCK_M)
    program = tl.program_id(0)
    block = program % blocks
    batch_head = program // blocks
    head = (batch_head % heads).to(tl.int64)
    row = (batch_head // heads).to(tl.int64)
    i = block * BLOCK_M + tl.arange(0, BLOCK_M)
    queries = rows(q + row * q_b + head * q_h, i, q_s, size_q, D, BLOCK_D)  # [BLOCK_M, D]
    seed_value = tl.load(seed) if HAS_DROPOUT else 0
    # Segments of padding rows differ from every real one's.
    own = i
    if HAS_SEGMENTS:
        own = tl.load(segments + row * size_q + i, mask=i < size_q, other=-1)
    acc = tl.zeros([BLOCK_M, BLOCK_D], tl.float32)
    zeros = tl.zeros([BLOCK_M, BLOCK_N], tl.float32)
    top = tl.full([BLOCK_M], -float("inf"), tl.float32)
    total = tl.zeros([BLOCK_M], tl.float32)
    if HAS_PREFIX:
        remembered = tl.load(prefix_len + row).to(tl.int32)
        for start in range(0, remembered, BLOCK_N):
            j = start + tl.arange(0, BLOCK_N)
            keys = rows(prefix_k + row * p_b + head * p_h, j, p_s, remembered, D, BLOCK_D)
            values = rows(prefix_v + row * p_b + head * p_h, j, p_s, remembered, D, BLOCK_D)
            visible = (j < remembered)[None, :] & (i >= 0)[:, None]
            if HAS_SEGMENTS:
                visible &= (own == 0)[:, None]
            scores = dot(queries, tl.trans(keys), zeros, EMU)
            acc, top, total = _take(
                scores, values, visible, acc, top, total, scale, seed_value, batch_head, i,
                size_k + j, size_k + size_p, keep_below, keep_scale, True, HAS_DROPOUT, EMU,
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
        keys = rows(k, j, k_s, size_k, D, BLOCK_D)
        values = rows(v, j, v_s, size_k, D, BLOCK_D)
        scores = dot(queries, tl.trans(keys), zeros, EMU)
        acc, top, total = _take(
            scores, values, None, acc, top, total, scale, seed_value, batch_head, i, j,
            size_k + size_p, keep_below, keep_scale, False, HAS_DROPOUT, EMU,
        )  # fmt: skip
    for start in range(whole, stop, BLOCK_N):
        j = start + tl.arange(0, BLOCK_N)
        keys = rows(k, j, k_s, stop, D, BLOCK_D)
        values = rows(v, j, v_s, stop, D, BLOCK_D)
        visible = (j < stop)[None, :] & (i >= 0)[:, None]
        if CAUSAL:
            visible &= j[None, :] <= i[:, None]
        if HAS_SEGMENTS:
            theirs = tl.load(segments + row * size_q + j, mask=j < stop, other=-2)
            visible &= own[:, None] == theirs[None, :]
        scores = dot(queries, tl.trans(keys), zeros, EMU)
        acc, top, total = _take(
            scores, values, visible, acc, top, total, scale, seed_value, batch_head, i, j,
            size_k + size_p, keep_below, keep_scale, True, HAS_DROPOUT, EMU,
        )  # fmt: skip
    seen = total > 0.0
    acc = acc * tl.where(seen, 1.0 / tl.where(seen, total, 1.0), 0.0)[:, None]
    store_rows(out + row * o_b + head * o_h, i, o_s, size_q, acc, D, BLOCK_D)
    if HAS_LSE:
        log_sum = tl.where(seen, top + tl.log2(tl.where(seen, total, 1.0)), -float("inf"))
        tl.store(lse + batch_head.to(tl.int64) * size_q + i, log_sum, mask=i < size_q)


@jit
def _weights(scores, log_sum, scale):
    """The softmax of a tile from its products and the rows' log-sums in base 2."""
    return tl.exp2(tl.fma(scores, scale, -log_sum))


@jit
def _log_sums(lse, i, size):
    """Of queries ``i``; +inf for padding and for those without keys, whose weights become 0."""
    found = tl.load(lse + i, mask=i < size, other=-float("inf"))
    return tl.where(found == -float("inf"), float("inf"), found)


@jit
def _query_push(
    q, grad, k, v, visible, log_sum, shared, acc, scale, seed, batch_head, i, j, size_k,
    keep_below, keep_scale,
    MASKED: tl.constexpr, HAS_DROPOUT: tl.constexpr, EMU: tl.constexpr,
):  # fmt: skip
    """Add one tile of keys' share to dQ."""
    zeros = tl.zeros([q.shape[0], k.shape[0]], tl.float32)
    scores = dot(q, tl.trans(k), zeros, EMU)
    if MASKED:
        scores = tl.where(visible, scores, -float("inf"))
    weights = _weights(scores, log_sum[:, None], scale)
    slope = dot(grad, tl.trans(v), zeros, EMU)
    if HAS_DROPOUT:
        kept = _kept(seed, batch_head, i[:, None], j[None, :], size_k, keep_below)
        slope = tl.where(kept, slope * keep_scale, 0.0)
    push = weights * (slope - shared[:, None])
    return dot(push.to(k.dtype), k, acc, EMU)


@jit
def attention_dq_kernel(
    q, k, v, out, grad, lse, delta, grad_q,
    kv_len, segments, prefix_k, prefix_v, prefix_len, seed,
    q_b, q_s, q_h, k_b, k_s, k_h, v_b, v_s, v_h, o_b, o_s, o_h, g_b, g_s, g_h,
    dq_b, dq_s, dq_h, p_b, p_s, p_h,
    heads, size_q, size_k, size_p, scale, slope_scale, keep_below, keep_scale,
    D: tl.constexpr, BLOCK_D: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
    CAUSAL: tl.constexpr, HAS_LEN: tl.constexpr, HAS_SEGMENTS: tl.constexpr,
    HAS_PREFIX: tl.constexpr, HAS_DROPOUT: tl.constexpr, EMU: tl.constexpr,
):  # fmt: skip
    """grad_q, and delta [B, H, Sq] float32 for attention_dkv_kernel."""
    blocks = tl.cdiv(size_q, BLOCK_M)
    block = tl.program_id(0) % blocks
    batch_head = tl.program_id(0) // blocks
    head = (batch_head % heads).to(tl.int64)
    row = (batch_head // heads).to(tl.int64)
    i = block * BLOCK_M + tl.arange(0, BLOCK_M)
    queries = rows(q + row * q_b + head * q_h, i, q_s, size_q, D, BLOCK_D)  # [BLOCK_M, D]
    grads = rows(grad + row * g_b + head * g_h, i, g_s, size_q, D, BLOCK_D)
    outs = rows(out + row * o_b + head * o_h, i, o_s, size_q, D, BLOCK_D)
    log_sum = _log_sums(lse + batch_head.to(tl.int64) * size_q, i, size_q)
    shared = tl.sum(grads.to(tl.float32) * outs.to(tl.float32), 1)
    tl.store(delta + batch_head.to(tl.int64) * size_q + i, shared, mask=i < size_q)
    seed_value = tl.load(seed) if HAS_DROPOUT else 0
    own = i
    if HAS_SEGMENTS:
        own = tl.load(segments + row * size_q + i, mask=i < size_q, other=-1)
    acc = tl.zeros([BLOCK_M, BLOCK_D], tl.float32)
    if HAS_PREFIX:
        remembered = tl.load(prefix_len + row).to(tl.int32)
        for start in range(0, remembered, BLOCK_N):
            j = start + tl.arange(0, BLOCK_N)
            keys = rows(prefix_k + row * p_b + head * p_h, j, p_s, remembered, D, BLOCK_D)
            values = rows(prefix_v + row * p_b + head * p_h, j, p_s, remembered, D, BLOCK_D)
            visible = (j < remembered)[None, :] & (i >= 0)[:, None]
            if HAS_SEGMENTS:
                visible &= (own == 0)[:, None]
            acc = _query_push(
                queries, grads, keys, values, visible, log_sum, shared, acc, scale, seed_value,
                batch_head, i, size_k + j, size_k + size_p, keep_below, keep_scale, True,
                HAS_DROPOUT, EMU,
            )  # fmt: skip
    stop = size_k
    if HAS_LEN:
        stop = tl.minimum(tl.load(kv_len + row).to(tl.int32), size_k)
    if CAUSAL:
        stop = tl.minimum(stop, (block + 1) * BLOCK_M)
    k += row * k_b + head * k_h
    v += row * v_b + head * v_h
    whole = 0
    if not (CAUSAL or HAS_SEGMENTS):
        whole = stop // BLOCK_N * BLOCK_N
    for start in range(0, whole, BLOCK_N):
        j = start + tl.arange(0, BLOCK_N)
        keys = rows(k, j, k_s, size_k, D, BLOCK_D)
        values = rows(v, j, v_s, size_k, D, BLOCK_D)
        acc = _query_push(
            queries, grads, keys, values, None, log_sum, shared, acc, scale, seed_value,
            batch_head, i, j, size_k + size_p, keep_below, keep_scale, False, HAS_DROPOUT, EMU,
        )  # fmt: skip
    for start in range(whole, stop, BLOCK_N):
        j = start + tl.arange(0, BLOCK_N)
        keys = rows(k, j, k_s, stop, D, BLOCK_D)
        values = rows(v, j, v_s, stop, D, BLOCK_D)
        visible = (j < stop)[None, :] & (i >= 0)[:, None]
        if CAUSAL:
            visible &= j[None, :] <= i[:, None]
        if HAS_SEGMENTS:
            theirs = tl.load(segments + row * size_q + j, mask=j < stop, other=-2)
            visible &= own[:, None] == theirs[None, :]
        acc = _query_push(
            queries, grads, keys, values, visible, log_sum, shared, acc, scale, seed_value,
            batch_head, i, j, size_k + size_p, keep_below, keep_scale, True, HAS_DROPOUT, EMU,
        )  # fmt: skip
    acc *= slope_scale
    store_rows(grad_q + row * dq_b + head * dq_h, i, dq_s, size_q, acc, D, BLOCK_D)


@jit
def attention_dkv_kernel(
    q, k, v, grad, lse, delta, grad_k, grad_v, kv_len, segments, seed,
    q_b, q_s, q_h, k_b, k_s, k_h, v_b, v_s, v_h, g_b, g_s, g_h,
    dk_b, dk_s, dk_h, dv_b, dv_s, dv_h,
    heads, size_q, size_k, size_p, scale, slope_scale, keep_below, keep_scale,
    D: tl.constexpr, BLOCK_D: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
    CAUSAL: tl.constexpr, HAS_LEN: tl.constexpr, HAS_SEGMENTS: tl.constexpr,
    HAS_DROPOUT: tl.constexpr, EMU: tl.constexpr,
):  # fmt: skip
    """grad_k and grad_v. What padded keys gather is not stored, so no tile masks them."""
    blocks = tl.cdiv(size_k, BLOCK_N)
    block = tl.program_id(0) % blocks
    batch_head = tl.program_id(0) // blocks
    head = (batch_head % heads).to(tl.int64)
    row = (batch_head // heads).to(tl.int64)
    j = block * BLOCK_N + tl.arange(0, BLOCK_N)
    keys = rows(k + row * k_b + head * k_h, j, k_s, size_k, D, BLOCK_D)  # [BLOCK_N, D]
    values = rows(v + row * v_b + head * v_h, j, v_s, size_k, D, BLOCK_D)
    q += row * q_b + head * q_h
    grad += row * g_b + head * g_h
    lse += batch_head.to(tl.int64) * size_q
    delta += batch_head.to(tl.int64) * size_q
    seed_value = tl.load(seed) if HAS_DROPOUT else 0
    theirs = j
    if HAS_SEGMENTS:
        theirs = tl.load(segments + row * size_q + j, mask=j < size_k, other=-2)
    begin = 0
    if CAUSAL:
        begin = block * BLOCK_N // BLOCK_M * BLOCK_M
    end = size_q
    length = size_k
    if HAS_LEN:
        length = tl.minimum(tl.load(kv_len + row).to(tl.int32), size_k)
        end = tl.where(block * BLOCK_N < length, size_q, 0)
    acc_k = tl.zeros([BLOCK_N, BLOCK_D], tl.float32)
    acc_v = tl.zeros([BLOCK_N, BLOCK_D], tl.float32)
    for first in range(begin, end, BLOCK_M):
        i = first + tl.arange(0, BLOCK_M)
        queries = rows(q, i, q_s, size_q, D, BLOCK_D)
        grads = rows(grad, i, g_s, size_q, D, BLOCK_D)
        log_sum = _log_sums(lse, i, size_q)
        shared = tl.load(delta + i, mask=i < size_q, other=0.0)
        zeros = tl.zeros([BLOCK_N, BLOCK_M], tl.float32)
        scores = dot(keys, tl.trans(queries), zeros, EMU)  # [keys, queries]
        if CAUSAL:
            scores = tl.where(j[:, None] <= i[None, :], scores, -float("inf"))
        if HAS_SEGMENTS:
            own = tl.load(segments + row * size_q + i, mask=i < size_q, other=-1)
            scores = tl.where(theirs[:, None] == own[None, :], scores, -float("inf"))
        weights = _weights(scores, log_sum[None, :], scale)
        slope = dot(values, tl.trans(grads), zeros, EMU)
        used = weights
        if HAS_DROPOUT:
            kept = _kept(seed_value, batch_head, i[None, :], j[:, None], size_k + size_p,
                         keep_below)  # fmt: skip
            slope = tl.where(kept, slope * keep_scale, 0.0)
            used = tl.where(kept, weights * keep_scale, 0.0)
        acc_v = dot(used.to(grads.dtype), grads, acc_v, EMU)
        push = weights * (slope - shared[None, :])
        acc_k = dot(push.to(queries.dtype), queries, acc_k, EMU)
    if HAS_LEN:
        # The weights of keys that do not count may be anything, infinity too.
        counts = (j < length)[:, None]
        acc_k = tl.where(counts, acc_k, 0.0)
        acc_v = tl.where(counts, acc_v, 0.0)
    acc_k *= slope_scale
    store_rows(grad_k + row * dk_b + head * dk_h, j, dk_s, size_k, acc_k, D, BLOCK_D)
    store_rows(grad_v + row * dv_b + head * dv_h, j, dv_s, size_k, acc_v, D, BLOCK_D)
