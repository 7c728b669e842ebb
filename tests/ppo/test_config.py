"""PPO's settings: the original's numbers, and what is refused."""

import json
from dataclasses import asdict

import pytest

from flare.errors import UserError
from flare.ppo.config import PRESETS, PPOConfig, flare_preset


def test_flare_preset_has_the_originals_numbers():
    config = flare_preset()
    assert (config.num_epochs, config.num_minibatches) == (4, 1)
    assert (config.clip_coef, config.value_loss, config.value_loss_coef) == (0.1, "plain", 0.5)
    assert (config.entropy_coef, config.normalize_advantages) == (0.0, False)
    assert (config.actor_learning_rate, config.critic_learning_rate) == (2e-5, 2e-5)
    assert (config.learning_rate_end, config.adam_eps, config.max_grad_norm) == (1.0, 1e-8, 0.5)
    assert config.critic_warmup_steps == 200_000
    assert (config.anchor_coef, config.target_kl) == (0.0, None)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_survive_json(name):
    config = PRESETS[name]()
    assert PPOConfig(**json.loads(json.dumps(asdict(config)))) == config


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("num_epochs", 0),
        ("num_minibatches", -1),
        ("clip_coef", 0.0),
        ("actor_learning_rate", float("nan")),
        ("max_grad_norm", -0.5),
        ("entropy_coef", -0.1),
        ("learning_rate_end", 1.5),
        ("value_loss", "huber"),
        ("target_kl", 0.0),
        ("critic_warmup_explained_variance", 1.0),
    ],
)
def test_bad_values_are_refused_by_name(key, value):
    with pytest.raises(UserError) as caught:
        PPOConfig(**{key: value})
    assert caught.value.key == f"ppo.{key}"
    assert repr(value) in str(caught.value)
