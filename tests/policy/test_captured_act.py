"""Captured steps equal plain ones; on a GPU only."""

import numpy as np
import pytest
import torch

from flare.policy.captured_act import CapturedAct
from flare.policy.captured_encode import CapturedEncode, fastest_encode
from flare.policy.policy import Policy
from tests.policy.policy_cases import random_observation, tiny_policy
from tests.policy.spoc.spoc_cases import TINY as SPOC_TINY
from tests.policy.spoc.spoc_cases import random_steps

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def _policy(kind):
    torch.manual_seed(0)
    policy = tiny_policy() if kind == "small" else Policy(SPOC_TINY)
    return policy.eval()


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("kind", ["small", "spoc"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_captured_steps_are_the_plain_ones(kind, dtype):
    policy = _policy(kind).to("cuda", dtype)
    rng = torch.Generator().manual_seed(0)
    caches = [policy.new_cache(5, max_len=300) for _ in range(2)]
    captured = CapturedAct(policy, caches[1])
    for _ in range(140):  # crosses a border of the captured sizes
        if kind == "spoc":
            obs = random_steps(policy.config, 5, rng=rng)
        else:
            obs = random_observation(policy, 5, rng=rng)
        starts = torch.rand(5, generator=rng) < 0.02
        for cache in caches:
            cache.reset(starts)
        uniforms = torch.rand(5, generator=rng)
        on_gpu = type(obs)(**{n: getattr(obs, n).cuda() for n in obs.__slots__})
        plain = policy.act(on_gpu, caches[0], uniforms.cuda())
        got = captured.act(obs, uniforms)
        tolerance = 1e-4 if dtype == torch.float32 else 5e-2
        torch.testing.assert_close(got.logits, plain.logits, rtol=tolerance, atol=tolerance)
        torch.testing.assert_close(got.value, plain.value, rtol=tolerance, atol=tolerance)
    assert torch.equal(caches[0].lengths, caches[1].lengths)


def test_a_cache_on_the_cpu_is_refused():
    policy = tiny_policy()
    with pytest.raises(ValueError, match="needs a KVCache on a CUDA device, got KVCache on cpu"):
        CapturedAct(policy, policy.new_cache(2, 4))


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_captured_features_are_the_plain_ones(dtype):
    policy = _policy("spoc").to("cuda", dtype)
    encode = fastest_encode(policy)
    assert isinstance(encode, CapturedEncode)
    image = policy.config.image
    rng = torch.Generator().manual_seed(0)
    for count, episode in ((3, 0), (3, 1), (5, 2), (3, 3)):
        frames = torch.randint(0, 256, (count, image.num_cameras, image.height, image.width, 3),
                               dtype=torch.uint8, generator=rng)  # fmt: skip
        envs = np.arange(count)
        for draws in (None, policy.draw_augmentations(1, envs, envs + episode, call=0)):
            plain = policy.encode_frames(frames, draws)
            torch.testing.assert_close(encode(frames, draws), plain, rtol=0, atol=0)
