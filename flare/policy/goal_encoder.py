"""Instruction words to a goal, and the goal's search over the image grid."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flare.policy.config import PolicyConfig


class GoalEncoder(nn.Module):
    """Mean of the instruction's word embeddings, then a linear layer.

    Most instructions of the closed vocabulary are bags of words: their order says nothing. Where it
    does (config.num_places), each place of the sentence scales the dimensions in its own way.
    """

    def __init__(self, config: PolicyConfig) -> None:
        super().__init__()
        self.words = nn.Parameter(torch.randn(config.vocab_size, config.width))
        self.linear = nn.Linear(config.width, config.width)
        self.places: nn.Parameter | None = None
        if config.num_places:
            self.places = nn.Parameter(1.0 + 0.5 * torch.randn(config.num_places, config.width))

    def forward(self, tokens: Tensor) -> Tensor:
        """[M, L] int64 word ids (0 pads) to goals [M, d]; a row of pads only has mean 0.

        L is num_places where the order counts.
        """
        if self.places is None:
            mean = F.embedding_bag(tokens, self.words, mode="mean", padding_idx=0)
        else:
            is_word = (tokens != 0).unsqueeze(-1)
            placed = torch.where(is_word, self.words[tokens] * self.places, 0.0)
            mean = placed.sum(-2) / is_word.sum(-2).clamp(min=1)
        return F.silu(self.linear(mean))


class GoalFusion(nn.Module):
    """Joins image and goal; the goal multiplies the image, cell by cell.

    The goal becomes one filter per head, ``f_h(goal)``, over a cell's channels, so that
    ``score[h, m] = f_h(goal) · cell[m] + b[h, m]`` says how well cell m fits what is looked for.
    An MLP reads, besides the grid itself, the map of scores (where it is) and, per head, the mean
    of the cells weighted by ``softmax_m(score[h])`` (what is there, how far).
    """

    def __init__(self, config: PolicyConfig) -> None:
        super().__init__()
        self.num_cells, self.channels = config.image.num_cells, config.image.grid_channels
        self.heads = config.goal_heads
        self.filters = nn.Linear(config.width, self.heads * self.channels)
        self.position_bias = nn.Parameter(torch.zeros(self.heads, self.num_cells))
        hidden = config.fusion_hidden
        # One layer over [grid, scores, found], kept in three: joining them would copy the grid,
        # and the update would compute a gradient for features that are constants there.
        self.from_grid = nn.Linear(config.image.num_features, hidden)
        self.from_scores = nn.Linear(self.heads * self.num_cells, hidden, bias=False)
        self.from_found = nn.Linear(self.heads * self.channels, hidden, bias=False)
        self.out = nn.Linear(hidden, config.width)

    def forward(self, features: Tensor, goal: Tensor) -> Tensor:
        """Features [M, F], goal [M, d] to [M, d]."""
        count = len(features)
        cells = features.view(count, self.num_cells, self.channels)
        filters = self.filters(goal).view(count, self.heads, self.channels)
        scores = torch.baddbmm(self.position_bias, filters, cells.transpose(1, 2))
        found = torch.bmm(scores.softmax(-1), cells)  # [M, heads, channels]
        hidden = self.from_grid(features)
        hidden = torch.addmm(hidden, F.silu(scores).flatten(1), self.from_scores.weight.t())
        hidden = torch.addmm(hidden, found.flatten(1), self.from_found.weight.t())
        fused: Tensor = self.out(F.silu(hidden))
        return fused
