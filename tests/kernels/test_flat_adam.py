"""Adam over flat buffers against PyTorch's, its clipping, and steps that are called off."""

import copy

import pytest
import torch
from torch import nn

from flare.kernels._launch import use_backend
from flare.kernels.flat_adam import FlatAdam
from tests.kernels.checks import DEVICE


def model():
    torch.manual_seed(0)
    return nn.ModuleDict(
        {"actor": nn.Linear(5, 7), "critic": nn.Sequential(nn.Linear(5, 3), nn.Linear(3, 1))}
    ).to(DEVICE)


def groups(net):
    return [{"params": list(net["actor"].parameters()), "name": "actor", "lr": 1e-2},
            {"params": list(net["critic"].parameters()), "name": "critic", "lr": 3e-2}]  # fmt: skip


def push(net, seed, *, only_critic=False):
    x = torch.randn(11, 5, generator=torch.Generator().manual_seed(seed)).to(DEVICE)
    loss = net["critic"](x).square().sum()
    if not only_critic:
        loss = loss + net["actor"](x).sin().sum()
    for p in net.parameters():
        p.grad = None
    loss.backward()


def assert_equal_models(a, b):
    for p, q in zip(a.parameters(), b.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("backend", ["triton", "reference"])
def test_steps_are_those_of_pytorchs_adam_and_clipping(backend):
    """Some steps reach the critic only: the actor's moments and step count stand still then."""
    plain = model()
    ours = copy.deepcopy(plain)
    theirs = torch.optim.Adam(groups(plain), eps=1e-6)
    with use_backend(backend):
        optimizer = FlatAdam(groups(ours), max_norm=0.7, eps=1e-6)
        for step in range(6):
            only_critic = step in (2, 3)
            for net in (plain, ours):
                push(net, step, only_critic=only_critic)
            wanted = nn.utils.clip_grad_norm_(plain.parameters(), 0.7)
            theirs.step()
            norm = optimizer.gather()
            torch.testing.assert_close(norm, wanted, rtol=1e-5, atol=0.0)
            optimizer.step(norm=norm)
            assert_equal_models(ours, plain)
    counts = {int(optimizer.state[p]["step"]) for p in ours["actor"].parameters()}
    assert counts == {4}


@pytest.mark.parametrize("backend", ["triton", "reference"])
def test_a_step_that_is_called_off_changes_nothing(backend):
    net = model()
    with use_backend(backend):
        optimizer = FlatAdam(groups(net), max_norm=1.0)
        push(net, 0)
        optimizer.step()
        before = copy.deepcopy(net), copy.deepcopy(optimizer.state_dict())
        push(net, 1)
        net["actor"].weight.grad[0, 0] = float("nan")
        optimizer.step(alive=torch.zeros((), device=DEVICE))
    assert all(torch.equal(p, q) for p, q in zip(net.parameters(), before[0].parameters(),
                                                 strict=True))  # fmt: skip
    for index, state in optimizer.state_dict()["state"].items():
        assert all(torch.equal(state[k], before[1]["state"][index][k]) for k in state)


def test_states_go_to_and_from_pytorchs_adam():
    plain = model()
    ours = copy.deepcopy(plain)
    theirs = torch.optim.Adam(groups(plain))
    push(plain, 0)
    nn.utils.clip_grad_norm_(plain.parameters(), 1.0)
    theirs.step()
    ours.load_state_dict(plain.state_dict())
    optimizer = FlatAdam(groups(ours), max_norm=1.0)
    optimizer.load_state_dict(theirs.state_dict())
    for step in (1, 2):
        for net in (plain, ours):
            push(net, step)
        nn.utils.clip_grad_norm_(plain.parameters(), 1.0)
        theirs.step()
        optimizer.step()
    assert_equal_models(ours, plain)
    back = torch.optim.Adam(groups(plain))
    back.load_state_dict(optimizer.state_dict())
    assert {int(back.state[p]["step"]) for p in plain.parameters()} == {3}


def test_frozen_parameters_are_left_out():
    net = model()
    net["actor"].requires_grad_(False)
    optimizer = FlatAdam(groups(net), max_norm=1.0)
    push(net, 0)
    optimizer.step()
    assert all(p not in optimizer.state for p in net["actor"].parameters())


@pytest.mark.parametrize("backend", ["triton", "reference"])
def test_steps_below_the_last_digit_add_up_in_the_masters(backend):
    """bfloat16 around 1 has steps of 1/128: fifty of 1e-3 move nothing, unless masters remember."""
    net = nn.ModuleDict({"actor": nn.Linear(4, 4, bias=False)}).to(DEVICE)
    nn.init.ones_(net["actor"].weight)
    groups = [{"params": list(net.parameters()), "lr": 1e-3}]
    with use_backend(backend):
        optimizer = FlatAdam(groups, max_norm=1e9, working_dtype=torch.bfloat16)
        (weight,) = net.parameters()
        assert weight.dtype == torch.bfloat16 and optimizer.masters()[weight].dtype == torch.float32
        for _ in range(50):
            weight.grad = torch.ones_like(weight)
            optimizer.step()
    master = optimizer.masters()[weight]
    torch.testing.assert_close(master, torch.full_like(master, 0.95), rtol=0, atol=1e-4)
    assert torch.equal(weight, master.bfloat16())
    # A state that is taken over keeps the moments' digits, and masters that are written count.
    other = nn.ModuleDict({"actor": nn.Linear(4, 4, bias=False)}).to(DEVICE)
    heir = FlatAdam([{"params": list(other.parameters()), "lr": 1e-3}], max_norm=1e9,
                    working_dtype=torch.bfloat16)  # fmt: skip
    heir.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    (copied,) = other.parameters()
    heir.masters()[copied].copy_(master)
    heir.round_masters()
    assert torch.equal(copied, weight)
    with use_backend(backend):
        for w, o in ((weight, optimizer), (copied, heir)):
            w.grad = torch.ones_like(w)
            o.step()
    assert torch.equal(heir.masters()[copied], optimizer.masters()[weight])
