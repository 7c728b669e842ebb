"""What the simulator knows of every pixel, as labels for the image encoder's cells."""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from flare.policy.image_encoder import ImageEncoder


@dataclass(frozen=True, kw_only=True, slots=True)
class DenseLabels:
    """Predictions for the cells of M images, M = steps x cameras, cameras fastest."""

    presence_logits: Tensor  # [M, K, rows, columns], of "the cell shows something of category k"
    inverse_depth: Tensor  # [M, rows, columns], 1/m; rows and columns of parts, where there are any


class DenseLabelsHead(nn.Module):
    """Reads every cell's channels linearly, so that what it learns is there for linear readers.

    Used to train the encoder before imitation and thrown away then.
    """

    def __init__(self, encoder: ImageEncoder, *, num_classes: int, parts: int = 1) -> None:
        """Make the reader.

        Args:
            encoder: whose cells are read.
            num_classes: K categories; a cell may show several or none.
            parts: labels a cell along each side; with more than 1 a cell also tells where in it.
        """
        super().__init__()
        self.rows, self.columns = encoder.grid
        self.parts = parts
        self.linear = nn.Linear(encoder.config.grid_channels, (num_classes + 1) * parts**2)

    def forward(self, features: Tensor) -> DenseLabels:
        """Features [B, F] of the encoder to labels of its M = B x cameras images."""
        cells = features.view(-1, self.rows, self.columns, self.linear.in_features)
        out = F.pixel_shuffle(self.linear(cells).permute(0, 3, 1, 2), self.parts)
        return DenseLabels(presence_logits=out[:, 1:], inverse_depth=out[:, 0])
