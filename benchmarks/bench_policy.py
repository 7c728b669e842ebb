"""The original's policy at full size: our act and update pass against the original's formulation.

Same weights, same inputs, checked to give the same logits and values before anything is timed.
"flare" acts with the critic; "flare, actor alone" without it, which is what evaluation does;
"original" collects as the original does, dropout on, gradients of the last update kept;
"original, no dropout" is the same computation without that. The limit is our own work's floor: the
matrix products that cannot be left out, as large products on the same number of threads.
"""

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.original_policy import OriginalNetwork, original_towers
from benchmarks.run import Case, Contenders
from flare.policy.observation import Observation
from flare.policy.policy import Policy
from flare.policy.spoc.config import SpocConfig

WORDS = 12  # tokens of an instruction
CHECKED = 3  # steps that both sides act before they are compared
CONTEXT = 64  # steps that a memory holds when a step is timed; what they hold costs nothing
ACT_ENVS = 8
UPDATE_ENVS, UPDATE_STEPS = 4, 8
FULL_SIZE = SpocConfig(critic="tower")
SIZE = 1024  # of the floor's square product


def floor_flops(config: SpocConfig, words: int) -> float:
    """Operations per frame and tower that the function needs: two per multiply-add.

    Cells and text through their linear layers, all but the last fusion layer for every token, the
    last for one, the decoder's linear layers. Attention scores and sums come on top of products.
    """
    d, hidden = config.width, config.fusion_hidden
    cells = config.image.num_cameras * config.image.num_cells
    tokens = 1 + cells + words
    linear = cells * (config.image.embed * d + 2 * d * d) + words * config.text.embed * d
    layer = tokens * (4 * d * d + 2 * d * hidden) + 2 * tokens * tokens * d
    last = 4 * d * d + 2 * d * hidden + 2 * tokens * d * config.fusion_heads
    decoder = config.num_layers * (4 * d * d + 3 * d * config.hidden) + d * d
    return 2.0 * (linear + (config.fusion_layers - 1) * layer + last + decoder)


@dataclass(frozen=True)
class _Inputs:
    """Steps [T, N] with features in our order and as the original's maps."""

    obs: Observation

    @classmethod
    def random(cls, config: SpocConfig, steps: int, envs: int) -> "_Inputs":
        rng = torch.Generator().manual_seed(0)
        shape = (steps, envs)
        tokens = torch.randint(3, config.text.vocab_size, (envs, WORDS), generator=rng)
        return cls(
            Observation(
                features=torch.randn(*shape, config.image.num_features, generator=rng),
                tokens=tokens.expand(steps, envs, WORDS).contiguous(),
                prev_action=torch.randint(0, config.num_actions, shape, generator=rng),
                in_hand=torch.randint(0, 2, shape, generator=rng),
                time_step=torch.arange(steps)[:, None].expand(shape).contiguous(),
                facts=torch.zeros(*shape, 1),
            )
        )


def feature_maps(obs: Observation, policy: Policy) -> list[Tensor]:
    """Feature maps of the cameras of observations [T, N], [T·N, channels, rows, columns] each."""
    config = policy.config
    assert isinstance(config, SpocConfig)
    flat = obs.features.flatten(0, 1)
    cells = flat.view(len(flat), config.image.num_cameras, -1, config.image.embed)
    rows, columns = config.image.grid
    return [
        cells[:, camera].transpose(1, 2).reshape(len(flat), -1, rows, columns).contiguous()
        for camera in range(config.image.num_cameras)
    ]


def _row(obs: Observation, t: int) -> Observation:
    return Observation(**{name: getattr(obs, name)[t] for name in Observation.__slots__})


def encode_step(network: OriginalNetwork, maps: list[Tensor], obs: Observation) -> Tensor:
    return network.encode(
        (maps[0], maps[1]), obs.tokens, obs.prev_action, obs.in_hand, obs.time_step
    )


def keep_gradients(networks: list[OriginalNetwork]) -> None:
    """As after an update: collection then takes their norm at every step."""
    for network in networks:
        for parameter in network.parameters():
            parameter.grad = torch.zeros_like(parameter)


def _assert_close(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


def _attention_flops(query: Sequence[int], key: Sequence[int], *rest: object, **_: object) -> int:
    """Two products of [S, D] and [S', D] per head; shapes are [B, H, S, D]."""
    return 4 * math.prod(query) * key[-2]


def _attention_backward_flops(
    grad: Sequence[int], query: Sequence[int], key: Sequence[int], *rest: object, **_: object
) -> int:
    """Five products: the scores again, and one each for dP, dV, dQ and dK."""
    return 10 * math.prod(query) * key[-2]


def _gflop(call: Callable[[], object], per: int) -> float:
    """Operations of the matrix products that PyTorch counts; its CPU attention it must be told."""
    attention = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward
    mapping = {attention: _attention_flops, backward: _attention_backward_flops}
    with FlopCounterMode(display=False, custom_mapping=mapping) as counter:
        call()
    return counter.get_total_flops() / per / 1e9


def _products(flops: float) -> object:
    left, right = torch.randn(SIZE, SIZE), torch.randn(SIZE, SIZE)

    def multiply() -> None:
        for _ in range(max(1, round(flops / (2 * SIZE**3)))):
            left @ right

    return multiply


@contextlib.contextmanager
def act_setup(
    config: SpocConfig = FULL_SIZE, envs: int = ACT_ENVS, context: int = CONTEXT
) -> Iterator[Contenders]:
    """One step of some environments, each ``context`` steps into its episode."""
    torch.manual_seed(0)
    policy = Policy(config).eval()
    networks = original_towers(policy, envs, 500)
    inputs = _Inputs.random(config, CHECKED + 1, envs)
    half = Policy(config).eval()
    half.load_state_dict(policy.state_dict())
    half.to(torch.bfloat16)
    caches = [p.new_cache(envs, context + 2) for p in (policy, policy, half)]
    maps = feature_maps(inputs.obs, policy)
    with torch.no_grad():
        for network in networks:
            network.eval()
        for t in range(CHECKED + 1):
            row, chunk = _row(inputs.obs, t), [m[t * envs : (t + 1) * envs] for m in maps]
            got = policy.act(row, caches[0], None)
            rows = [n.step(encode_step(n, chunk, row), row.time_step) for n in networks]
            _assert_close(got.logits, rows[0][0])
            _assert_close(got.value, rows[1][1])
    last, last_maps = replace(row, time_step=torch.full((envs,), context)), chunk
    for cache in caches:
        cache.load_lengths(torch.full((envs,), context))
    for network in networks:
        network.counter = context

    def ours(index: int, p: Policy, with_value: bool = True) -> object:
        out = p.act(last, caches[index], None, with_value=with_value)
        caches[index].lengths -= 1
        return out

    @torch.no_grad()
    def theirs() -> list[Tensor]:
        rows = [n.step(encode_step(n, last_maps, last), last.time_step) for n in networks]
        for network in networks:
            network.counter -= 1
        return [rows[0][0], rows[1][1]]

    keep_gradients(networks)

    def with_dropout(on: bool) -> object:
        for network in networks:
            network.train(on)
        return theirs()

    measured = {
        "GFLOP per env step, flare": _gflop(lambda: ours(0, policy), envs),
        "GFLOP per env step, flare, actor alone": _gflop(lambda: ours(1, policy, False), envs),
        # With dropout: the fused kernels that run without it hide their products.
        "GFLOP per env step, original": _gflop(lambda: with_dropout(True), envs),
        "GFLOP per env step, floor of both towers": 2 * floor_flops(config, WORDS) / 1e9,
    }
    yield Contenders(
        {
            "flare": lambda: ours(0, policy),
            "flare, actor alone": lambda: ours(1, policy, False),
            "flare, bfloat16": lambda: ours(2, half),
            "original": lambda: with_dropout(True),
            "original, no dropout": lambda: with_dropout(False),
            "products": _products(2 * envs * floor_flops(config, WORDS)),  # type: ignore[dict-item]
        },
        measured=measured,
    )


@contextlib.contextmanager
def update_setup(
    config: SpocConfig = FULL_SIZE, steps: int = UPDATE_STEPS, envs: int = UPDATE_ENVS
) -> Iterator[Contenders]:
    """Forward and backward of both towers over a rollout."""
    torch.manual_seed(0)
    policy = Policy(config).eval()
    networks = original_towers(policy, envs, steps)
    inputs = _Inputs.random(config, steps, envs)
    obs, maps = inputs.obs, feature_maps(inputs.obs, policy)
    starts = obs.time_step == 0
    actions = torch.zeros(steps, envs, dtype=torch.int64)
    trajectory = torch.zeros(envs, steps, dtype=torch.int64)

    def ours() -> tuple[Tensor, Tensor]:
        policy.zero_grad(set_to_none=True)
        out = policy.evaluate_actions(obs, actions, starts)
        (out.log_prob.sum() + out.value.sum()).backward()  # type: ignore[no-untyped-call]
        return out.logits.detach(), out.value.detach()

    def theirs() -> tuple[Tensor, Tensor]:
        results = []
        for network in networks:
            x = encode_step(network, maps, obs.flat()).view(steps, envs, -1).transpose(0, 1)
            results.append(network.rollout(x, trajectory))
        logits, values = results[0][0].transpose(0, 1), results[1][1].t()
        log_prob = logits.log_softmax(-1).gather(-1, actions[..., None])
        for network in networks:
            network.zero_grad(set_to_none=True)
        (log_prob.sum() + values.sum()).backward()  # type: ignore[no-untyped-call]
        return logits.detach(), values.detach()

    for network in networks:
        network.eval()
    for got, want in zip(ours(), theirs(), strict=True):
        _assert_close(got, want)
    frames = steps * envs
    measured = {
        "GFLOP per env step, flare": _gflop(ours, frames),
        "GFLOP per env step, original": _gflop(theirs, frames),
        "GFLOP per env step, floor of both towers": 6 * floor_flops(config, WORDS) / 1e9,
    }

    def with_dropout(on: bool) -> object:
        for network in networks:
            network.train(on)
        return theirs()

    yield Contenders(
        {
            "flare": ours,
            "original": lambda: with_dropout(True),
            "original, no dropout": lambda: with_dropout(False),
            "products": _products(  # type: ignore[dict-item]
                6 * frames * floor_flops(config, WORDS)
            ),
        },
        measured=measured,
    )


CASES = [
    Case(
        id=f"policy.act/small_3/N={ACT_ENVS}",
        unit="env steps/s",
        work=ACT_ENVS,
        setup=act_setup,
        limit="products",
        config={"preset": "small_3", "critic": "tower", "words": WORDS, "context": CONTEXT},
    ),
    Case(
        id=f"policy.update/small_3/T={UPDATE_STEPS}/N={UPDATE_ENVS}",
        unit="env steps/s",
        work=UPDATE_STEPS * UPDATE_ENVS,
        setup=update_setup,
        limit="products",
        config={"preset": "small_3", "critic": "tower", "words": WORDS},
    ),
]
