"""What the simulator knows of every pixel, as labels for the image encoder's cells."""

from dataclasses import dataclass

from torch import Tensor, nn

from flare.policy.image_encoder import ImageEncoder


@dataclass(frozen=True, kw_only=True, slots=True)
class DenseLabels:
    """Predictions for the cells of M images, M = steps x cameras, cameras fastest."""

    presence_logits: Tensor  # [M, K, rows, columns], of "the cell shows something of category k"
    inverse_depth: Tensor  # [M, rows, columns], 1/m


class DenseLabelsHead(nn.Module):
    """Reads every cell's channels linearly, so that what it learns is there for linear readers.

    Used to train the encoder before imitation and thrown away then.
    """

    def __init__(self, encoder: ImageEncoder, *, num_classes: int) -> None:
        """num_classes: K categories; a cell may show several or none."""
        super().__init__()
        self.rows, self.columns = encoder.grid
        self.linear = nn.Linear(encoder.config.grid_channels, num_classes + 1)

    def forward(self, features: Tensor) -> DenseLabels:
        """Features [B, F] of the encoder to labels of its M = B x cameras images."""
        cells = features.view(-1, self.rows, self.columns, self.linear.in_features)
        out = self.linear(cells).permute(0, 3, 1, 2)
        return DenseLabels(presence_logits=out[:, 1:], inverse_depth=out[:, 0])
