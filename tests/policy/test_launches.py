"""How much a rollout step and an update launch, and how often they wait for the device.

Counted without a GPU: the full-size policy runs on tensors without data, Triton's launches are
recorded, and every other operation that computes something counts as one launch, which is what it
is on a GPU. Waits are counted on a CPU: every number that the host reads (profiler events
``aten::_local_scalar_dense``) is a place where a GPU would have to finish first.

The plan, both networks: 136 launches a step (of which the vision transformer 86) and 800 an
update of 4 epochs; the original 2,320 and 15,500, with at least 11 waits a step.
"""

from collections import Counter
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode

from flare.kernels import attention, pool_attention
from flare.kernels._launch import recording
from flare.kernels.ppo_loss import ppo_loss
from flare.policy.observation import Observation
from flare.policy.policy import Policy
from flare.policy.spoc.config import SpocConfig
from flare.policy.spoc.instruction_encoder import Words
from flare.ppo.config import flare_preset
from flare.ppo.update import make_optimizer, ppo_update
from tests.policy.policy_cases import simulate_rollout, tiny_policy
from tests.policy.spoc.spoc_cases import TINY, random_steps, random_tokens

ENVS, STEPS, WORDS = 32, 128, 12
HOST_READS = ("aten::_local_scalar_dense", "aten::is_nonzero", "aten::nonzero")


NO_WORK = ("aten::empty", "aten::new_empty", "aten::_unsafe_view", "aten::detach_", "profiler::")


class Operations(TorchDispatchMode):
    """Counts operations that compute: no views, no allocations."""

    def __init__(self):
        super().__init__()
        self.counts = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        returns = func._schema.returns
        is_view = any(r.alias_info is not None and not r.alias_info.is_write for r in returns)
        if not is_view and not func._schema.name.startswith(NO_WORK):
            self.counts[func._schema.name] += 1
        return func(*args, **(kwargs or {}))


@pytest.fixture
def on_gpu(monkeypatch):
    """Configurations as a GPU would get them."""
    for module in (attention, pool_attention):
        monkeypatch.setattr(module, "INTERPRETED", False)


def full_size(critic):
    with torch.device("meta"):
        policy = Policy(replace(SpocConfig(), critic=critic, num_facts=8)).to(torch.bfloat16)
    return policy.eval()


def words(policy, *shape):
    features = torch.empty(16, WORDS, policy.config.text.embed, dtype=torch.bfloat16, device="meta")
    index = torch.empty(*shape, dtype=torch.int64, device="meta")
    lengths = torch.empty(16, dtype=torch.int64, device="meta")
    return Words(features=features, lengths=lengths, index=index, is_ragged=True)


def steps_of(policy, *shape):
    def integers(*size):
        return torch.empty(*size, dtype=torch.int64, device="meta")

    features = torch.empty(*shape, policy.num_features, dtype=torch.bfloat16, device="meta")
    return Observation(
        features=features, tokens=integers(*shape, WORDS), prev_action=integers(*shape),
        in_hand=integers(*shape), time_step=integers(*shape),
        facts=torch.empty(*shape, 8, device="meta"),
    )  # fmt: skip


def count(work):
    """Launches of a call: Triton's by kernel, and those of PyTorch's operations."""
    with recording((9, 0)) as record, Operations() as operations:
        work()
    kernels = Counter(getattr(x.kernel, "fn", x.kernel).__name__ for x in record.launches)
    return kernels, operations.counts


def step(policy, cache, *, with_value):
    """One captured step: frames to actions, text already read."""
    frames = torch.empty(ENVS, 2, 224, 384, 3, dtype=torch.uint8, device="meta")
    obs, text = steps_of(policy, ENVS), words(policy, ENVS)
    uniforms = torch.empty(ENVS, device="meta")
    with torch.no_grad():  # in inference mode composite operations hide what they are made of
        features = policy.encode_frames(frames)
        cache.open_step(obs.time_step, span=STEPS)
        policy.decide(obs.with_features(features), text, text, cache, uniforms,
                      with_value=with_value)  # fmt: skip


def test_launches_of_a_step(on_gpu):
    policy = full_size("tower")
    cache = policy.new_cache(ENVS, STEPS)
    with_critic = count(lambda: step(policy, cache, with_value=True))  # makes constants, too
    kernels, operations = count(lambda: step(policy, cache, with_value=False))
    assert kernels["attention_fwd_kernel"] == 12 + 2  # vision transformer, whole fusion layers
    assert kernels["pool_fwd_kernel"] == 1
    assert kernels["decode_kernel"] == 3
    assert kernels["sequence_fwd_kernel"] == kernels["sample_kernel"] == 1
    assert kernels["ln_pool_kernel"] == 1
    assert sum(kernels.values()) <= STEP_KERNELS
    assert sum(operations.values()) <= STEP_OPERATIONS, operations
    # The critic's tower is half of what stands behind the features: no launch of it remains.
    assert with_critic[0]["decode_kernel"] == 6


def test_launches_of_an_update(on_gpu, monkeypatch):
    policy = full_size("tower")
    monkeypatch.setattr(Policy, "read", lambda self, tokens: (words(self, *tokens.shape[:-1]),) * 2)
    obs, starts = steps_of(policy, STEPS, ENVS), torch.empty(STEPS, ENVS, device="meta").bool()
    optimizer = make_optimizer(policy, flare_preset())
    flat = [torch.empty(STEPS * ENVS, device="meta") for _ in range(3)]

    def epoch():
        logits, values = policy.evaluate(obs, starts)
        loss, _ = ppo_loss(logits.flatten(0, 1), values.flatten(), flat[0].long(), *flat,
                           clip_coef=0.1, value_loss_coef=0.5)  # fmt: skip
        torch.autograd.backward(loss)
        optimizer.step(norm=optimizer.gather())

    kernels, operations = count(epoch)
    assert kernels["attention_fwd_kernel"] == 2 * (2 + 3)
    assert kernels["attention_dq_kernel"] == kernels["attention_dkv_kernel"] == 2 * (2 + 3)
    assert kernels["pool_fwd_kernel"] == kernels["pool_bwd_kernel"] == 2
    assert kernels["ppo_loss_kernel"] == kernels["ppo_stats_kernel"] == 1
    assert kernels["adam_kernel"] == kernels["square_sum_kernel"] == 2
    assert sum(kernels.values()) <= EPOCH_KERNELS
    assert sum(operations.values()) <= EPOCH_OPERATIONS, operations


# What they are now; more is a regression. kernels/README.md says what they are and why the plan's
# 136 and 800 are not met.
STEP_KERNELS, STEP_OPERATIONS = 63, 100
EPOCH_KERNELS, EPOCH_OPERATIONS = 148, 351


def host_reads(work):
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        work()
    return Counter(e.name for e in profiler.events() if e.name in HOST_READS and not _is_adams(e))


def _is_adams(event):
    """PyTorch's Adam for CPUs reads its flags itself; on a device its kernels do."""
    while event is not None and event.name != "aten::_fused_adam_":
        event = event.cpu_parent
    return event is not None


def small_policy():
    torch.manual_seed(0)
    return Policy(replace(TINY, critic="tower")).eval()


def test_a_step_reads_no_number_of_the_device():
    """Between opening the cache's step and counting it; the text was read before."""
    policy, rng = small_policy(), torch.Generator().manual_seed(0)
    obs, cache = random_steps(TINY, 3, rng=rng), policy.new_cache(3, 8)
    text = policy.read(obs.tokens)
    uniforms = torch.rand(3, generator=rng)

    @torch.inference_mode()
    def work():
        cache.open_step(obs.time_step, span=8)
        policy.decide(obs, *text, cache, uniforms)
        cache.lengths += 1

    assert host_reads(work) == {}


def test_gradient_steps_read_no_number_of_the_device(monkeypatch):
    """An update of six steps reads as often as one of two: before the first and after the last.

    The one thing asked in between, whether the update is over, is not waited for on a device; a CPU
    has it at once, so it is left out here.
    """
    from flare.ppo import update

    monkeypatch.setattr(update._Steps, "is_over", lambda self: False)
    counts = {}
    for epochs in (1, 3):
        policy = tiny_policy()
        rollout = simulate_rollout(policy, steps=6, envs=4, carry=True, seed=3)
        config = replace(flare_preset(), num_epochs=epochs, num_minibatches=2,
                         critic_warmup_steps=0)  # fmt: skip
        optimizer = make_optimizer(policy, config)
        work = partial(ppo_update, policy, optimizer, rollout, config, progress=0.0, step=0)
        counts[epochs] = sum(host_reads(work).values())
    assert counts[1] == counts[3] <= UPDATE_READS


UPDATE_READS = 9


def test_text_is_encoded_once_per_instruction(monkeypatch):
    policy, rng = small_policy(), torch.Generator().manual_seed(2)
    encoded = []
    encoder = policy.instructions.encoder
    whole = encoder.forward
    monkeypatch.setattr(encoder, "forward", lambda x: encoded.append(len(x)) or whole(x))
    obs = replace(random_steps(TINY, 6, 4, rng=rng),
                  tokens=random_tokens(TINY, 24, rng=rng).view(6, 4, -1))  # fmt: skip
    cache = policy.new_cache(4, 8)
    for t in range(6):
        policy.act(Observation(**{n: getattr(obs, n)[t] for n in Observation.__slots__}), cache,
                   torch.rand(4, generator=rng))  # fmt: skip
    starts = torch.zeros(6, 4, dtype=torch.bool)
    for _ in range(3):
        policy.evaluate(obs, starts)
    assert sum(encoded) == len(torch.unique(obs.tokens.flatten(0, 1), dim=0))
