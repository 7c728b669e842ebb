"""Policies at full size with the golden weights, built once for this folder's tests."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from flare.importing.layout import entries
from flare.importing.weights import import_weights
from flare.policy.policy import Policy
from flare.policy.spoc.config import Compat, SpocConfig
from tests.policy.spoc.golden import original_weights

TWO_TOWER = SpocConfig(critic="tower", critic_text="own", compat=Compat.named("flare"))
ONE_TOWER = SpocConfig(critic="shared", compat=Compat.named("flare"))


@pytest.fixture(scope="package")
def golden_dir(shared_dir):
    return shared_dir / "golden"


@pytest.fixture(scope="package")
def load_npz(golden_dir):
    def load(name):
        with np.load(golden_dir / f"{name}.npz") as file:
            return {key: file[key] for key in file}

    return load


def build(config, state):
    """A policy that shares the tensors of ``state``; what is not there keeps its initialisation."""
    policy = Policy(config)
    _, surplus = policy.load_state_dict(state, strict=False, assign=True)
    assert not surplus
    return policy.requires_grad_(True).eval()


@pytest.fixture(scope="package")
def rl_weights(golden_dir):
    """The two-tower model of the original, all 278 entries."""
    return original_weights(golden_dir, "rl_separate")


@pytest.fixture(scope="package")
def il_weights(golden_dir, rl_weights):
    """The imitation model; the formula gives it the first tower's tensors where names agree."""
    return original_weights(golden_dir, "il_small_3", known=rl_weights)


@pytest.fixture(scope="package")
def two_tower(rl_weights):
    """Our two-tower policy in ``compat="flare"``."""
    return build(TWO_TOWER, import_weights(rl_weights, entries(TWO_TOWER, "rl"), width=512))


@pytest.fixture(scope="package")
def one_tower(rl_weights):
    """Our one-tower policy in ``compat="flare"``."""
    first = {k: t for k, t in rl_weights.items() if not k.startswith("critic_tsfm.")}
    return build(ONE_TOWER, import_weights(first, entries(ONE_TOWER, "rl"), width=512))


@pytest.fixture(scope="package")
def imitated(il_weights):
    """Our policy with the imitation model's weights and image encoder, in ``compat="flare"``."""
    config = replace(ONE_TOWER, compat=replace(ONE_TOWER.compat, central_crop=False))
    state = import_weights(il_weights, entries(config, "il"), width=512)
    return build(config, state)


@pytest.fixture(scope="package")
def mended(two_tower):
    """The same two-tower weights without any oddity."""
    config = replace(TWO_TOWER, compat=Compat())
    return build(config, two_tower.state_dict())


@pytest.fixture
def two_threads():
    """The full-size networks gain from a second thread; other tests set one."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)
