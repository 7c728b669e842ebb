import pytest
import torch
from torch import nn

from flare.checkpoint import load_checkpoint, save_checkpoint
from flare.errors import UserError
from flare.recipes.train_state import TrainState


def make_state(stage="finetune", width=8):
    torch.manual_seed(0)
    policy = nn.Sequential(nn.Linear(4, width), nn.Dropout(0.5), nn.Linear(width, 2))
    optimizer = torch.optim.Adam(policy.parameters(), lr=1e-2)
    return TrainState(stage=stage, policy=policy, optimizer=optimizer, seed=7)


def train(state, iterations):
    for _ in range(iterations):
        loss = state.policy(torch.randn(16, 4)).square().mean()
        state.optimizer.zero_grad()
        loss.backward()
        state.optimizer.step()
        state.iteration += 1
        state.step += 16
        state.window.add(state.iteration % 3 == 0)
    return loss


def save(state, path):
    return save_checkpoint(path, state.to_checkpoint(policy={"width": 8}, recipe={"seed": 7}))


def test_a_resumed_run_continues_bit_for_bit(tmp_path):
    state = make_state()
    train(state, 3)
    save(state, tmp_path)
    loss = train(state, 4)

    resumed = make_state()
    train(resumed, 1)  # whatever it held before is gone
    resumed.from_checkpoint(load_checkpoint(tmp_path))
    assert (resumed.iteration, resumed.step, resumed.window.count) == (3, 48, 3)
    assert torch.equal(train(resumed, 4), loss)
    for a, b in zip(state.policy.parameters(), resumed.policy.parameters(), strict=True):
        assert torch.equal(a, b)
    assert (resumed.iteration, resumed.step) == (state.iteration, state.step)
    assert resumed.window.state_dict() == state.window.state_dict()


def test_counters_and_tensors_come_back(tmp_path):
    state = make_state()
    state.counters["episode_lines"] = 12
    state.best = 0.25
    state.episodes = 5
    state.tensors["kv/keys"] = torch.randn(2, 3, 4).transpose(0, 1)
    save(state, tmp_path)
    other = make_state()
    other.from_checkpoint(load_checkpoint(tmp_path))
    assert (other.counters, other.best, other.episodes) == ({"episode_lines": 12}, 0.25, 5)
    assert torch.equal(other.tensors["kv/keys"], state.tensors["kv/keys"])


def test_a_view_is_saved_without_the_rest_of_its_storage(tmp_path):
    state = make_state()
    state.tensors["slice"] = torch.zeros(1_000_000)[:2]
    assert (save(state, tmp_path) / "trainer.pt").stat().st_size < 100_000


def test_another_stage_is_refused(tmp_path):
    save(make_state("pretrain"), tmp_path)
    with pytest.raises(UserError, match="checkpoint of pretrain cannot be resumed by finetune"):
        make_state().from_checkpoint(load_checkpoint(tmp_path))


def test_weights_of_another_shape_are_refused_in_one_line(tmp_path):
    save(make_state(), tmp_path)
    with pytest.raises(UserError, match="do not fit the policy") as caught:
        make_state(width=9).from_checkpoint(load_checkpoint(tmp_path))
    assert "\n" not in str(caught.value)
