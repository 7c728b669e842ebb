"""From the decoder's output, or from facts, to actions and values."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flare.policy.config import PolicyConfig


def _orthogonal(layer: nn.Linear, gain: float) -> nn.Linear:
    nn.init.orthogonal_(layer.weight, gain)
    nn.init.zeros_(layer.bias)
    return layer


class ActorHead(nn.Linear):
    """Logits; starts near the uniform distribution (orthogonal, gain 0.01)."""

    def __init__(self, config: PolicyConfig) -> None:
        super().__init__(config.width, config.num_actions)
        _orthogonal(self, 0.01)


class CriticHead(nn.Linear):
    """Value from a decoder's output, [..., d] to [...]."""

    def __init__(self, config: PolicyConfig) -> None:
        super().__init__(config.width, 1)
        _orthogonal(self, 1.0)

    def forward(self, x: Tensor) -> Tensor:
        """[..., d] to [...]."""
        return super().forward(x).squeeze(-1)


class FactsCritic(nn.Module):
    """Value from privileged features: an MLP that sees the state, so it needs no memory."""

    def __init__(self, config: PolicyConfig) -> None:
        super().__init__()
        hidden = config.critic_hidden
        self.num_facts = config.num_facts
        self.layers = nn.Sequential(
            _orthogonal(nn.Linear(config.num_facts, hidden), 2**0.5),
            nn.SiLU(),
            _orthogonal(nn.Linear(hidden, hidden), 2**0.5),
            nn.SiLU(),
            _orthogonal(nn.Linear(hidden, 1), 1.0),
        )

    def forward(self, facts: Tensor) -> Tensor:
        """[..., K] to [...].

        Raises:
            ValueError: another number of facts than the config says.
        """
        if facts.shape[-1] != self.num_facts:
            raise ValueError(f"facts must be [..., {self.num_facts}], got {list(facts.shape)}")
        value: Tensor = self.layers(facts).squeeze(-1)
        return value


def sample_actions(logits: Tensor, uniforms: Tensor | None) -> Tensor:
    """Inverse-CDF samples: the first action whose cumulated probability exceeds the uniform.

    Cumulated in float64, so a uniform below 1 never runs past the last action that has
    probability.

    Args:
        logits: [N, A] float32.
        uniforms: [N] float32 in [0, 1); None takes the most probable action.

    Returns:
        [N] int64.
    """
    if uniforms is None:
        return logits.argmax(-1)
    cumulated = F.softmax(logits, -1, dtype=torch.float64).cumsum(-1)
    threshold = uniforms.double()[:, None] * cumulated[:, -1:]
    return (cumulated <= threshold).sum(-1)
