"""The full-size policy on a GPU: a rollout step and an update, ours and as the original computes.

Worlds are not part of it: observations are random, frames too. Ours is measured in bfloat16 with
the kernels and with PyTorch in their place, a step from a captured graph and plain; the original
in float32 as it is described (benchmarks/original_policy.py), with its dropout, its rollout in
parts of 8 environments, as all of it does not fit.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from benchmarks.bench_policy import encode_step, feature_maps, keep_gradients
from benchmarks.original_policy import OriginalNetwork, original_towers
from flare.kernels._launch import Backend, use_backend
from flare.policy.captured_act import CapturedAct
from flare.policy.captured_encode import fastest_encode
from flare.policy.kv_cache import KVPrefix
from flare.policy.observation import Observation
from flare.policy.policy import Policy
from flare.policy.spoc.config import SpocConfig
from flare.ppo.config import flare_preset
from flare.ppo.update import make_optimizer, ppo_update

STEPS, WORDS, CONTEXT = 128, 12, 256
PART = 8  # environments of the original's rollout that fit at once
OUR_PART = 32


@dataclass(frozen=True, kw_only=True)
class _Rollout:
    """One rollout of random numbers."""

    obs: Observation
    actions: Tensor
    log_probs: Tensor
    values: Tensor
    advantages: Tensor
    returns: Tensor
    episode_start: Tensor
    valid: Tensor
    prefix: KVPrefix | None = None


def _observation(policy: Policy, *shape: int, device: torch.device) -> Observation:
    def integers(high: int) -> Tensor:
        return torch.randint(0, high, shape, device=device)

    tokens = torch.randint(3, 1000, (shape[-1], WORDS)).expand(*shape, WORDS).contiguous()
    features = torch.randn(*shape, policy.num_features, device=device)
    return Observation(
        features=features.to(policy.feature_dtype), tokens=tokens.to(device),
        prev_action=integers(20), in_hand=integers(2),
        time_step=torch.zeros(shape, dtype=torch.int64, device=device),
        facts=torch.zeros(*shape, 1, device=device),
    )  # fmt: skip


def _rollout(policy: Policy, envs: int, device: torch.device) -> _Rollout:
    def normal() -> Tensor:
        return torch.randn(STEPS, envs, device=device)

    return _Rollout(
        obs=_observation(policy, STEPS, envs, device=device),
        actions=torch.randint(0, 20, (STEPS, envs), device=device), log_probs=normal() / 10 - 3,
        values=normal(), advantages=normal(), returns=normal(),
        episode_start=torch.zeros(STEPS, envs, dtype=torch.bool, device=device),
        valid=torch.ones(STEPS, envs, dtype=torch.bool, device=device),
    )  # fmt: skip


def _ms(work: Callable[[], object], repeats: int, warmup: int = 2) -> float:
    for _ in range(warmup):
        work()
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(repeats):
        work()
    torch.cuda.synchronize()
    return (time.perf_counter() - start) / repeats * 1e3


def _frames(envs: int, device: torch.device) -> Tensor:
    return torch.randint(0, 256, (envs, 2, 224, 384, 3), dtype=torch.uint8, device=device)


def _finish(found: dict[str, Any], envs: int) -> dict[str, Any]:
    found["peak_gb"] = torch.cuda.max_memory_allocated() / 1e9
    cycle = STEPS * (found["act_ms"] + found["encode_ms"]) + found["update_ms"]
    return {**found, "steps_per_s": STEPS * envs / cycle * 1e3}


def measure(envs: int, backend: Backend, device: torch.device) -> dict[str, Any]:
    """Milliseconds of a step's two parts and of an update, and the steps per second of a cycle."""
    torch.manual_seed(0)
    policy = Policy(SpocConfig(critic="tower")).to(device).eval()
    config = replace(flare_preset(), critic_warmup_steps=0, envs_per_pass=OUR_PART)
    optimizer = make_optimizer(policy, config, torch.bfloat16)
    policy.to(torch.bfloat16)
    found: dict[str, Any] = {"envs": envs, "way": f"flare, bfloat16, {backend}"}
    torch.cuda.reset_peak_memory_stats()
    with use_backend(backend):
        obs = _observation(policy, envs, device=device)
        uniforms = torch.rand(envs, device=device)
        caches = [policy.new_cache(envs, 4 * STEPS) for _ in range(2)]
        for cache in caches:
            cache.load_lengths(torch.full((envs,), CONTEXT))
        act = CapturedAct(policy, caches[0])
        found["act_ms"] = _ms(lambda: act.act(obs, uniforms, with_value=False), 50)
        found["act_uncaptured_ms"] = _ms(
            lambda: policy.act(obs, caches[1], uniforms, with_value=False), 20
        )
        frames = _frames(envs, device)
        encode = fastest_encode(policy)
        found["encode_ms"] = _ms(lambda: encode(frames, None), 20)
        with torch.no_grad():
            found["encode_uncaptured_ms"] = _ms(lambda: policy.encode_frames(frames), 5)
        batch = _rollout(policy, envs, device)
        found["update_ms"] = _ms(
            lambda: ppo_update(policy, optimizer, batch, config, progress=0.0, step=0), 1, 1
        )
    return _finish(found, envs)


def measure_original(envs: int, device: torch.device) -> dict[str, Any]:
    """The same of the original's computation."""
    torch.manual_seed(0)
    policy = Policy(SpocConfig(critic="tower")).to(device).eval()
    networks = original_towers(policy, envs, 4 * STEPS)
    found: dict[str, Any] = {"envs": envs, "way": "original, float32"}
    torch.cuda.reset_peak_memory_stats()
    obs = _observation(policy, STEPS, envs, device=device)
    maps = feature_maps(obs, policy)
    parameters = [p for network in networks for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=2e-5)
    for network in networks:
        network.train()
    with use_backend("reference"):
        found["act_ms"] = _ms(_original_step(networks, maps, obs, envs), 10)
        frames = _frames(envs, device)
        with torch.inference_mode():
            found["encode_ms"] = _ms(lambda: policy.encode_frames(frames), 5)
        found["update_ms"] = _ms(_original_update(networks, maps, obs, optimizer, parameters), 1, 0)
    return _finish(found, envs)


def _original_step(
    networks: list[OriginalNetwork], maps: list[Tensor], obs: Observation, envs: int
) -> Callable[[], object]:
    """One step of the environments, each CONTEXT steps into its episode."""
    rows, chunk = obs.envs(0, envs), [m[:envs] for m in maps]
    row = Observation(**{n: getattr(rows, n)[0] for n in Observation.__slots__})
    when = torch.full_like(row.time_step, CONTEXT)

    @torch.no_grad()
    def step() -> None:
        for network in networks:
            network.counter = CONTEXT
            network.step(encode_step(network, chunk, row), when)

    keep_gradients(networks)
    return step


def _original_update(
    networks: list[OriginalNetwork], maps: list[Tensor], obs: Observation,
    optimizer: torch.optim.Optimizer, parameters: list[Tensor],
) -> Callable[[], object]:  # fmt: skip
    """Four epochs over the rollout: clipped loss, gradients' norm, one step each."""
    steps, envs = obs.time_step.shape
    actions = torch.zeros(steps, PART, 1, dtype=torch.int64, device=obs.time_step.device)

    def part(first: int) -> Tensor:
        some = obs.envs(first, first + PART)
        chunk = [
            m.view(steps, envs, *m.shape[1:])[:, first : first + PART].flatten(0, 1) for m in maps
        ]
        trajectory = torch.zeros(PART, steps, dtype=torch.int64, device=actions.device)
        results = []
        for network in networks:
            x = encode_step(network, chunk, some.flat()).view(steps, PART, -1).transpose(0, 1)
            results.append(network.rollout(x, trajectory))
        log_prob = results[0][0].transpose(0, 1).log_softmax(-1).gather(-1, actions)
        ratio = (log_prob - log_prob.detach()).exp()
        gain = torch.min(ratio, ratio.clamp(0.9, 1.1)).mean()
        return 0.25 * results[1][1].square().mean() - gain

    def update() -> None:
        for _ in range(4):
            optimizer.zero_grad(set_to_none=True)
            for first in range(0, envs, PART):
                (part(first) * (PART / envs)).backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(parameters, 0.5)
            optimizer.step()

    return update


def measure_all(
    device: torch.device, sizes: tuple[int, ...] = (8, 32, 64)
) -> Iterator[dict[str, Any]]:
    """All ways at several numbers of environments, one by one; what does not fit says so."""
    ways: dict[str, Callable[[int], dict[str, Any]]] = {
        "triton": lambda n: measure(n, "triton", device),
        "reference": lambda n: measure(n, "reference", device),
        "original": lambda n: measure_original(n, device),
    }
    for envs in sizes:
        for name, way in ways.items():
            try:
                result = way(envs)
            except torch.cuda.OutOfMemoryError as error:
                result = {"envs": envs, "way": name, "absent": str(error)[:100]}
            torch.cuda.empty_cache()
            print(result, flush=True)
            yield result
