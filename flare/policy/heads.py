"""From the decoder's output, or from facts, to actions and values."""

import torch
from torch import Tensor, nn

from flare.policy.config import PolicyConfig
from flare.policy.spoc.config import SpocConfig

NetworkConfig = PolicyConfig | SpocConfig

VALUE_BINS, VALUE_RANGE = 101, (-5.0, 15.0)  # of the original's discrete critic


def _orthogonal(layer: nn.Linear, gain: float) -> nn.Linear:
    nn.init.orthogonal_(layer.weight, gain)
    nn.init.zeros_(layer.bias)
    return layer


class ActorHead(nn.Linear):
    """Logits; starts near the uniform distribution (orthogonal, gain 0.01)."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__(config.width, config.num_actions)
        _orthogonal(self, 0.01)


class CriticHead(nn.Linear):
    """Value from a decoder's output, [..., d] to [...]."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__(config.width, 1)
        _orthogonal(self, 1.0)

    def forward(self, x: Tensor) -> Tensor:
        """[..., d] to [...]."""
        return super().forward(x).squeeze(-1)


class MlpCriticHead(nn.Module):
    """Value through two hidden layers of half the width, [..., d] to [...]."""

    def __init__(self, config: SpocConfig) -> None:
        super().__init__()
        half = config.width // 2
        self.layers = nn.Sequential(
            nn.Linear(config.width, half),
            nn.ReLU(),
            nn.Linear(half, half),
            nn.ReLU(),
            nn.Linear(half, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """[..., d] to [...]."""
        value: Tensor = self.layers(x).squeeze(-1)
        return value


class DiscreteCriticHead(nn.Module):
    """Value as the mean of a distribution over equal bins (Farebrother et al. 2024)."""

    def __init__(self, config: SpocConfig) -> None:
        super().__init__()
        half = config.width // 2
        self.layers = nn.Sequential(
            nn.Linear(config.width, half), nn.ReLU(), nn.Linear(half, VALUE_BINS)
        )

    def forward(self, x: Tensor) -> Tensor:
        """[..., d] to [...]."""
        probabilities = self.layers(x).float().softmax(-1)
        value: Tensor = (probabilities * _bin_centers(x.device)).sum(-1)
        return value


def _bin_centers(device: torch.device) -> Tensor:
    low, high = VALUE_RANGE
    step = (high - low) / VALUE_BINS
    return torch.arange(VALUE_BINS, device=device) * step + (low + step / 2)


def make_critic_head(config: NetworkConfig) -> nn.Module:
    """The head that the config asks for: of beliefs [..., d], or of facts [..., K]."""
    if config.critic == "facts":
        return FactsCritic(config)
    if isinstance(config, SpocConfig) and config.critic_head != "linear":
        return (MlpCriticHead if config.critic_head == "mlp" else DiscreteCriticHead)(config)
    return CriticHead(config)


class SpareHeads(nn.Module):
    """Two heads of the original's two-tower files that nothing reads or trains.

    The actor's copy has a critic, the critic's copy an actor. They are kept as constants, so that
    a file that was imported can be written again as it was.
    """

    def __init__(self, config: SpocConfig) -> None:
        super().__init__()
        self.actor_head = ActorHead(config)
        self.critic_head = make_critic_head(config)
        self.requires_grad_(False)


class FactsCritic(nn.Module):
    """Value from privileged features: an MLP that sees the state, so it needs no memory."""

    def __init__(self, config: NetworkConfig) -> None:
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
        """[..., K or more] to [...]; reads the first K, those that there were when it was made.

        Raises:
            ValueError: fewer facts than the config says.
        """
        if facts.shape[-1] < self.num_facts:
            raise ValueError(
                f"facts must be [..., {self.num_facts}] or more, got {list(facts.shape)}"
            )
        value: Tensor = self.layers(facts[..., : self.num_facts]).squeeze(-1)
        return value
