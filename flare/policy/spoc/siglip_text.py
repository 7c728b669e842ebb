"""The text encoder of SigLIP (Zhai et al. 2023): a pre-norm transformer over a fixed context.

No causal mask and no padding mask: pads are tokens like others.
"""

import torch
from torch import Tensor, nn

from flare.policy.spoc.config import TextConfig
from flare.policy.spoc.vision_transformer import TransformerBlock, run_blocks

_EPS = 1e-6


class SiglipTextEncoder(nn.Module):
    """Token ids to the normalised features of all tokens, and the pooled one behind them."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.embedding = nn.Embedding(config.vocab_size, config.embed)
        self.positions = nn.Parameter(0.01 * torch.randn(config.max_tokens, config.embed))
        self.blocks = nn.ModuleList(
            TransformerBlock(
                config.embed, config.num_heads, config.hidden, eps=_EPS, has_layer_scale=False
            )
            for _ in range(config.depth)
        )
        self.norm = nn.LayerNorm(config.embed, eps=_EPS)
        self.pooled = nn.Linear(config.embed, config.embed)

    def forward(self, tokens: Tensor) -> Tensor:
        """Token ids [M, L] int64, L = max_tokens, 1 pads, to [M, L + 1, dt].

        The pooled token, last, is a linear layer of the feature at the context's last place.
        """
        x = self.embedding(tokens) + self.positions
        x = self.norm(run_blocks(self.blocks, x))
        return torch.cat([x, self.pooled(x[:, -1:])], 1)
