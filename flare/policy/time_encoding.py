"""The step of an episode as a vector."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from flare.kernels.step_embedding import time_encoding


class TimeEncoding(nn.Module):
    """Sinusoids of the step: ``sin(t·w_k)`` at place 2k, ``cos(t·w_k)`` at 2k + 1.

    ``w_k = exp(-2k · ln(10000) / d)`` (Vaswani et al. 2017, section 3.5). No longest episode.
    """

    frequencies: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        exponent = torch.arange(0, width, 2, dtype=torch.float32) * (-math.log(10_000.0) / width)
        self.register_buffer("frequencies", exponent.exp(), persistent=False)

    def _apply(self, *args: Any, **kwargs: Any) -> "TimeEncoding":  # noqa: ANN401
        """Stay in float32 when the policy goes to bfloat16: that cannot tell steps apart."""
        super()._apply(*args, **kwargs)  # type: ignore[no-untyped-call]
        self.frequencies = TimeEncoding(self.width).frequencies.to(self.frequencies.device)
        return self

    def forward(self, time_step: Tensor) -> Tensor:
        """[...] int64 to [..., d] float32."""
        return time_encoding(time_step, self.frequencies)
