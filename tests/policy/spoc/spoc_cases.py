"""A small policy of SPOC's kind and random steps for it."""

import torch

from flare.policy.observation import Observation
from flare.policy.spoc.config import SpocConfig, TextConfig, VisionConfig

torch.set_num_threads(1)  # on networks this small threads would only wait for each other

TINY = SpocConfig(
    image=VisionConfig(
        height=28, width=42, num_cameras=2, embed=12, depth=1, num_heads=2, patch=7, table=5,
        grid=(2, 3),
    ),
    text=TextConfig(vocab_size=30, embed=8, depth=2, num_heads=2, hidden=12, max_tokens=12),
    num_actions=5, width=16, fusion_layers=3, fusion_heads=2, fusion_hidden=20, num_layers=2,
    num_heads=2, num_facts=6,
)  # fmt: skip


def random_tokens(config, count, *, rng, distinct=3):
    """Token ids [count, 9] of a few instructions of 2 to 9 tokens, 0 behind their ends."""
    texts = torch.zeros(distinct, 9, dtype=torch.int64)
    for row in texts:
        length = int(torch.randint(2, 10, (), generator=rng))
        row[:length] = torch.randint(2, config.text.vocab_size, (length,), generator=rng)
    return texts[torch.randint(0, distinct, (count,), generator=rng)]


def random_steps(config, *shape, rng):
    """Observations of independent steps."""
    count = int(torch.tensor(shape).prod())
    return Observation(
        features=torch.randn(*shape, config.image.num_features, generator=rng),
        tokens=random_tokens(config, count, rng=rng).view(*shape, -1),
        prev_action=torch.randint(0, config.num_actions + 1, shape, generator=rng),
        in_hand=torch.randint(0, 2, shape, generator=rng),
        time_step=torch.randint(0, 300, shape, generator=rng),
        facts=torch.randn(*shape, config.num_facts, generator=rng),
    )
