"""The policy's benchmark at a tiny size: its setups compare ours with the original."""

from dataclasses import replace

import pytest

from benchmarks.bench_policy import act_setup, update_setup
from tests.policy.spoc.spoc_cases import TINY

CONFIG = replace(TINY, critic="tower")


@pytest.mark.parametrize(
    "setup",
    [
        lambda: act_setup(CONFIG, envs=2, context=6),
        lambda: update_setup(CONFIG, steps=3, envs=2),
    ],
    ids=["act", "update"],
)
def test_setups_agree_with_the_original_and_every_contender_runs(setup):
    with setup() as contenders:
        assert "flare" in contenders.calls and "original" in contenders.calls
        for call in contenders.calls.values():
            call()
        assert all(number > 0 for number in contenders.measured.values())
