"""The two-tower and one-tower reinforcement models against the original's numbers."""

import json

import pytest
import torch

from flare.importing.layout import entries
from flare.importing.policy_import import import_policy
from flare.importing.weights import export_weights, import_weights
from flare.policy.policy import Policy
from tests.importing.original_files import write_original
from tests.policy.spoc.golden import (
    SALT,
    assert_golden,
    assert_gradients,
    features,
    manifest,
    normal,
    rl_observation,
    row,
    starts_of,
)

pytestmark = pytest.mark.usefixtures("two_threads")


def test_the_fill_is_the_manifests(golden_dir, rl_weights, il_weights):
    seen = set()
    for model, weights in (("rl_separate", rl_weights), ("il_small_3", il_weights)):
        for entry in manifest(golden_dir)[model]:
            flat, check = weights[entry["name"]].reshape(-1), entry["check"]
            if flat.data_ptr() in seen:
                continue
            seen.add(flat.data_ptr())
            got = (flat[0], flat[-1], flat.sum(dtype=torch.float64))
            wanted = (check["first"], check["last"], check["sum"])
            for value, number in zip(got, wanted, strict=True):
                bound = 1e-6 * max(1.0, check["sum_abs"])
                assert value.item() == pytest.approx(number, abs=bound), entry["name"]


@pytest.mark.parametrize("case", ["multi_same", "multi_mixed"])
def test_features_are_the_formulas(load_npz, case):
    data = load_npz(f"rl_{case}")
    packed = features(case, 6, 2).view(6, 2, 2, 84, 384)
    for camera, name in enumerate(("nav", "manip")):
        first = packed[0, 0, camera, :8, 0]  # channel 0 of the first eight cells
        assert torch.equal(first, torch.from_numpy(data[f"check_{name}_first8"]))


@pytest.mark.parametrize("case", ["multi_same", "multi_mixed"])
def test_two_towers_multi_step(two_tower, load_npz, case):
    data = load_npz(f"rl_{case}")
    obs, starts = rl_observation(data, case), starts_of(data["traj_index"])
    with torch.no_grad():
        _check_towers(two_tower, data, obs, starts)
        out = two_tower.evaluate_actions(obs, torch.zeros(6, 2).long(), starts)
    assert_golden(out.logits, data["two_tower/actor_logits"])
    assert_golden(out.logits.log_softmax(-1), data["two_tower/action_log_probs_all"])
    assert_golden(out.value[..., None], data["two_tower/values"])


def _check_towers(policy, data, obs, starts):
    batch = obs.batch_first()
    for words, tower, name in zip(
        policy.read(batch.tokens), (policy.actor_tower, policy.critic_tower), ("actor", "critic"),
        strict=True,
    ):  # fmt: skip
        fused = tower.fuse(batch.flat().features, tower.read(words)).view(2, 6, -1).transpose(0, 1)
        assert_golden(fused, data[f"two_tower/{name}_tower_obs_embeds"])
        beliefs = tower(batch, words, starts.t().cumsum(1), None).transpose(0, 1)
        assert_golden(beliefs, data[f"two_tower/{name}_tower_beliefs"])


def test_both_towers_from_an_imitation_checkpoint(il_weights, rl_weights, load_npz, tmp_path):
    """The file of the imitation model; only the critic's head is not in it."""
    file = write_original(tmp_path / "spoc_IL.ckpt", il_weights, "il")
    policy, _ = import_policy(file, compat="flare")
    policy.load_state_dict(_critic_heads(policy.config, rl_weights), strict=False)
    data, want = load_npz("rl_multi_same"), load_npz("rl_from_il")
    obs, starts = rl_observation(data, "multi_same"), starts_of(data["traj_index"])
    with torch.no_grad():
        out = policy.evaluate_actions(obs, torch.zeros(6, 2).long(), starts)
    assert_golden(out.logits, want["actor_logits"])
    assert_golden(out.value[..., None], want["values"])


def _critic_heads(config, rl_weights):
    placed = [p for p in entries(config, "rl") if p.theirs.endswith(("fc.weight", "fc.bias"))]
    assert len(placed) == 4
    return import_weights({p.theirs: rl_weights[p.theirs] for p in placed}, placed, width=512)


@pytest.mark.parametrize("case", ["multi_same", "multi_mixed"])
def test_one_tower_multi_step(one_tower, load_npz, case):
    data = load_npz(f"rl_{case}")
    obs, starts = rl_observation(data, case), starts_of(data["traj_index"])
    with torch.no_grad():
        out = one_tower.evaluate_actions(obs, torch.zeros(6, 2).long(), starts)
        values = one_tower.evaluate_values(obs, starts)
    assert_golden(out.logits, data["one_tower/actor_logits"])
    assert_golden(out.value[..., None], data["one_tower/values"])
    assert torch.equal(out.value, values)


def _act(policy, obs, steps, cache):
    outputs = [policy.act(row(obs, t), cache, None) for t in steps]
    logits = torch.stack([out.logits for out in outputs])
    return logits, torch.stack([out.value for out in outputs])[..., None]


@pytest.mark.parametrize("case", ["step_same", "step_mixed", "limit"])
def test_single_steps_with_the_shared_counter(two_tower, load_npz, case):
    data = load_npz(f"rl_{case}")
    obs = rl_observation(data, case)
    steps = len(data["time_step"])
    logits, values = _act(two_tower, obs, range(steps), two_tower.new_cache(2, max_len=1))
    assert_golden(logits, data["step/actor_logits"])
    assert_golden(values, data["step/values"])
    with torch.no_grad():
        out = two_tower.evaluate_actions(
            obs, torch.zeros(steps, 2).long(), starts_of(data["traj_index"])
        )
    assert_golden(out.logits, data["multi/actor_logits"])
    assert_golden(out.value[..., None], data["multi/values"])


def test_single_steps_after_an_update(two_tower, load_npz):
    data = load_npz("rl_step_same")
    obs, cache = rl_observation(data, "step_same"), two_tower.new_cache(2, max_len=1)
    _act(two_tower, obs, range(3), cache)
    cache.restart()  # as the original's multi-step call does
    first = int(data["after_update/first_step"])
    steps = range(first, first + int(data["after_update/num_steps"]))
    logits, values = _act(two_tower, obs, steps, cache)
    assert_golden(logits, data["after_update/actor_logits"])
    assert_golden(values, data["after_update/values"])


def test_the_shared_counter_drops_to_zero(two_tower, load_npz):
    data = load_npz("rl_wrap")
    obs, cache = rl_observation(data, "wrap"), _cache_of(two_tower, int(data["max_steps"]))
    logits, values = _act(two_tower, obs, range(8), cache)
    assert_golden(logits, data["step/actor_logits"])
    assert_golden(values, data["step/values"])


def _cache_of(policy, max_steps):
    cache = policy.new_cache(2, max_len=1)
    return cache._empty(2, max_steps)


@pytest.mark.parametrize("case", ["step_same", "wrap"])
def test_the_mended_cache_keeps_the_whole_episode(mended, load_npz, case):
    """With equal lengths of text nothing is padded, so the multi-step numbers are the truth."""
    data = load_npz(f"rl_{case}")
    obs, starts = rl_observation(data, case), starts_of(data["traj_index"])
    cache, rows = mended.new_cache(2, max_len=9), []
    for t in range(8):
        cache.reset(starts[t])
        rows.append(mended.act(row(obs, t), cache, None).logits)
    if case == "step_same":
        assert_golden(torch.stack(rows), data["multi/actor_logits"])
    with torch.no_grad():
        assert_golden(torch.stack(rows), mended.evaluate_logits(obs, starts))


def _original_gradients(policy):
    grads = {
        name: torch.zeros_like(p) if p.grad is None else p.grad
        for name, p in policy.named_parameters()
    }
    exported = export_weights(grads, entries(policy.config, "rl"), width=512)
    return {name: g for name, g in exported.items() if not name.endswith("div_term")}


@pytest.mark.parametrize("model", ["two_tower", "one_tower"])
def test_gradients(model, request, load_npz, golden_dir):
    policy: Policy = request.getfixturevalue(model)
    data = load_npz("rl_multi_mixed")
    obs, starts = rl_observation(data, "multi_mixed"), starts_of(data["traj_index"])
    policy.zero_grad(set_to_none=True)
    out = policy.evaluate_actions(obs, torch.zeros(6, 2).long(), starts)
    g_log_probs = torch.from_numpy(normal(f"{SALT}/input/grad/log_probs", (6, 2, 20)))
    g_values = torch.from_numpy(normal(f"{SALT}/input/grad/values", (6, 2, 1)))
    loss = (out.logits.log_softmax(-1) * g_log_probs).sum()
    loss = loss + (out.value[..., None] * g_values).sum()
    loss.backward()
    want = json.loads((golden_dir / f"rl_gradients_{model}.json").read_text())
    assert loss.item() == pytest.approx(want["loss"], rel=1e-5)
    assert_gradients(_original_gradients(policy), want["gradients"])
    policy.zero_grad(set_to_none=True)
