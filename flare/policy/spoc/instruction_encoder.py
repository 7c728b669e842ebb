"""Instructions to text features, each distinct one once."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from flare.policy.spoc.config import SpocConfig
from flare.policy.spoc.siglip_text import SiglipTextEncoder
from flare.policy.spoc.t5 import T5Encoder

_MOST = 2048  # distinct instructions remembered before the memory starts anew


@dataclass(frozen=True, kw_only=True, slots=True)
class Words:
    """Text features of the steps of one call, stored once per distinct instruction."""

    features: Tensor  # [U, L, dt] of the text encoder
    lengths: Tensor  # [U] int64, real tokens of the L
    index: Tensor  # [...] int64, the row of each step
    is_ragged: bool  # some instruction has fewer than L tokens


class InstructionEncoder(nn.Module):
    """The frozen text encoder with a memory of what it has read.

    The outputs at pad tokens are kept as well: with ``compat.text_padding`` they count. They do not
    depend on how much padding follows, so the memory serves every call.
    """

    def __init__(self, config: SpocConfig) -> None:
        super().__init__()
        self.config = config
        siglip = config.text.family == "siglip"
        self.encoder = SiglipTextEncoder(config.text) if siglip else T5Encoder(config.text)
        self.requires_grad_(False)
        self._row_of: dict[bytes, int] = {}
        self._features: Tensor | None = None  # [capacity, max_tokens, dt]
        self._lengths: list[int] = []
        self.register_load_state_dict_post_hook(  # type: ignore[no-untyped-call]
            lambda *_: self.forget()
        )

    def forget(self) -> None:
        """Empty the memory: the weights, their dtype or their device have changed."""
        self._row_of, self._features, self._lengths = {}, None, []

    def _apply(self, *args: Any, **kwargs: Any) -> "InstructionEncoder":  # noqa: ANN401
        self.forget()
        super()._apply(*args, **kwargs)  # type: ignore[no-untyped-call]
        return self

    @torch.no_grad()
    def forward(self, tokens: Tensor) -> Words:
        """Token ids [..., L] int64 (0 pads, T5; 1 pads, SigLIP) to what the encoder makes of them.

        Raises:
            ValueError: more tokens than config.text.max_tokens.
        """
        most = self.config.text.max_tokens
        if tokens.shape[-1] > most:
            raise ValueError(f"at most {most} tokens, got {list(tokens.shape)}")
        shape = tokens.shape[:-1]
        distinct, index = torch.unique(tokens.flatten(0, -2), dim=0, return_inverse=True)
        distinct = distinct.cpu()
        keys = [row.tobytes() for row in self._padded(distinct).numpy()]
        if len(self._row_of) + len(keys) > _MOST:
            self.forget()
        unread = [i for i, key in enumerate(keys) if key not in self._row_of]
        if unread:
            self._read(distinct[unread], [keys[i] for i in unread])
        return self._words([self._row_of[key] for key in keys], index.view(shape))

    def _padded(self, tokens: Tensor) -> Tensor:
        out = tokens.new_full((len(tokens), self.config.text.max_tokens), self._pad)
        out[:, : tokens.shape[1]] = tokens
        return out

    @property
    def _pad(self) -> int:
        return 1 if self.config.text.family == "siglip" else 0

    def _read(self, tokens: Tensor, keys: list[bytes]) -> None:
        """Encode instructions [n, L] that are not in the memory and append them to it."""
        padded = self._padded(tokens)
        weight = next(self.encoder.parameters())
        features = self.encoder(padded.to(weight.device))
        first = len(self._row_of)
        if self._features is None or first + len(keys) > len(self._features):
            capacity = max(64, 2 * (first + len(keys)))
            with torch.inference_mode(False):  # written by acting and by updates in turn
                grown = features.new_zeros(capacity, *features.shape[1:])
            if self._features is not None:
                grown[:first] = self._features[:first]
            self._features = grown
        self._features[first : first + len(keys)] = features
        self._row_of.update((key, first + i) for i, key in enumerate(keys))
        if self.config.text.family == "siglip":  # it reads its pads, so all of them are text
            self._lengths += [self.config.text.num_outputs] * len(keys)
        else:
            self._lengths += (padded != self._pad).sum(1).tolist()

    def _words(self, rows: list[int], index: Tensor) -> Words:
        assert self._features is not None  # rows were read
        lengths = [self._lengths[row] for row in rows]
        longest = max(lengths)
        device = self._features.device
        return Words(
            features=self._features[torch.tensor(rows, device=device), :longest],
            lengths=torch.tensor(lengths, device=device),
            index=index.to(device),
            is_ragged=min(lengths) < longest,
        )
