"""``Policy.encode_frames`` with its transformer as a CUDA graph."""

from collections.abc import Callable

import torch
from torch import Tensor

from flare.policy.policy import Policy
from flare.policy.spoc.augmentation import Augmentations
from flare.policy.spoc.image_encoder import SpocImageEncoder
from flare.policy.spoc.vision_transformer import Constants

Encode = Callable[[Tensor, Augmentations | None], Tensor]


class CapturedEncode:
    """The frozen encoder of one policy on a CUDA device, captured for each number of frames.

    Augmentation and patches go before the graph: which of their launches there are is decided by
    what was drawn. What a call returns is overwritten by the next. Not thread-safe.
    """

    def __init__(self, encoder: SpocImageEncoder) -> None:
        self._encoder = encoder
        self._constants: Constants | None = None
        self._graphs: dict[int, tuple[torch.cuda.CUDAGraph, list[Tensor], Tensor]] = {}

    @torch.no_grad()
    def __call__(self, frames: Tensor, draws: Augmentations | None) -> Tensor:
        """[B, C, H, W, 3] uint8 anywhere to features [B, F]."""
        constants = self._encoder.constants()
        if constants is not self._constants:  # other weights: the graphs read what was made of them
            self._graphs.clear()
            self._constants = constants
        found = self._graphs.get(len(frames))
        if found is None:
            found = self._capture(frames, draws)
            self._graphs[len(frames)] = found
        graph, inputs, features = found
        for own, new in zip(inputs, self._encoder.patches(frames, draws), strict=True):
            own.copy_(new)
        graph.replay()
        return features

    def _capture(
        self, frames: Tensor, draws: Augmentations | None
    ) -> tuple[torch.cuda.CUDAGraph, list[Tensor], Tensor]:
        encoder = self._encoder
        inputs = [patches.clone() for patches in encoder.patches(frames, draws)]

        def encode() -> Tensor:
            parts = torch.cat([encoder.pooled(patches) for patches in inputs])
            return parts.reshape(len(frames), encoder.config.num_features)

        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(2):
                encode()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            features = encode()
        return graph, inputs, features


def fastest_encode(policy: Policy) -> Encode:
    """``policy.encode_frames``, captured where the device can and the encoder is frozen."""
    if policy.device.type == "cuda" and isinstance(policy.image_encoder, SpocImageEncoder):
        return CapturedEncode(policy.image_encoder)
    return policy.encode_frames
