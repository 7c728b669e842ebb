"""The full-size policy on a GPU: a captured rollout step and an update, by kernels and by PyTorch.

Worlds are not part of it: observations are random, frames too.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from flare.kernels._launch import Backend, use_backend
from flare.policy.captured_act import CapturedAct
from flare.policy.kv_cache import KVPrefix
from flare.policy.observation import Observation
from flare.policy.policy import Policy
from flare.policy.spoc.config import SpocConfig
from flare.ppo.config import flare_preset
from flare.ppo.update import make_optimizer, ppo_update

STEPS, WORDS = 128, 12


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
        features=features.to(policy.feature_dtype), tokens=tokens, prev_action=integers(20),
        in_hand=integers(2), time_step=torch.zeros(shape, dtype=torch.int64, device=device),
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


def _ms(work: Callable[[], object], repeats: int) -> float:
    for _ in range(2):
        work()
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(repeats):
        work()
    torch.cuda.synchronize()
    return (time.perf_counter() - start) / repeats * 1e3


def measure(envs: int, backend: Backend, device: torch.device) -> dict[str, Any]:
    """Milliseconds of a step's two parts and of an update, and the steps per second of a cycle."""
    torch.manual_seed(0)
    policy = Policy(SpocConfig()).to(device, torch.bfloat16).eval()
    found: dict[str, Any] = {"envs": envs, "backend": backend}
    with use_backend(backend):
        obs = _observation(policy, envs, device=device)
        uniforms = torch.rand(envs, device=device)
        act = CapturedAct(policy, policy.new_cache(envs, 4 * STEPS))
        found["act_ms"] = _ms(lambda: act.act(obs, uniforms, with_value=False), 50)
        frames = torch.randint(0, 256, (envs, 2, 224, 384, 3), dtype=torch.uint8, device=device)
        with torch.inference_mode():
            found["encode_ms"] = _ms(lambda: policy.encode_frames(frames), 5)
        batch = _rollout(policy, envs, device)
        config = replace(flare_preset(), critic_warmup_steps=0)
        optimizer = make_optimizer(policy, config)
        torch.cuda.reset_peak_memory_stats()
        found["update_ms"] = _ms(
            lambda: ppo_update(policy, optimizer, batch, config, progress=0.0, step=0), 1
        )
    found["peak_gb"] = torch.cuda.max_memory_allocated() / 1e9
    cycle = STEPS * (found["act_ms"] + found["encode_ms"]) + found["update_ms"]
    return {**found, "steps_per_s": STEPS * envs / cycle * 1e3}


def measure_all(
    device: torch.device, sizes: tuple[int, ...] = (8, 16, 32)
) -> Iterator[dict[str, Any]]:
    """Both ways at several numbers of environments; what does not fit says so."""
    for envs in sizes:
        for backend in ("triton", "reference"):
            try:
                result = measure(envs, backend, device)
            except torch.cuda.OutOfMemoryError as error:
                result = {"envs": envs, "backend": backend, "absent": str(error)[:100]}
            torch.cuda.empty_cache()
            print(result, flush=True)
            yield result
