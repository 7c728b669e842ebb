from flare.ppo.config import demo_preset
from flare.recipes.finetune import FinetuneConfig, with_preset


def test_the_flare_preset_carries_the_originals_numbers():
    config = with_preset(FinetuneConfig(preset="flare"))
    ppo, collector = config.ppo, config.collector
    assert (ppo.num_epochs, ppo.num_minibatches, ppo.clip_coef) == (4, 1, 0.1)
    assert (ppo.actor_learning_rate, ppo.critic_learning_rate, ppo.adam_eps) == (2e-5, 2e-5, 1e-8)
    assert (ppo.value_loss_coef, ppo.entropy_coef, ppo.max_grad_norm) == (0.5, 0.0, 0.5)
    assert not ppo.normalize_advantages
    assert ppo.critic_warmup_steps == 200_000
    assert (collector.num_steps, collector.gamma, collector.gae_lambda) == (128, 0.99, 0.95)
    assert (collector.memory, collector.truncation_is_terminal) == ("reset", True)
    assert collector.compat_sensors


def test_the_demo_preset_and_none():
    assert with_preset(FinetuneConfig(preset="demo")).ppo == demo_preset()
    plain = FinetuneConfig()
    assert with_preset(plain) is plain
