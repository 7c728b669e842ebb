"""The decoder of SPOC's first release against PyTorch's own transformer decoder."""

import pytest
import torch
from torch import nn

from flare.policy.spoc.cross_decoder import CrossDecoder, StepText
from tests.policy.spoc.spoc_cases import TINY

_NAMES = {
    "self_attn.in_proj_": "qkv.", "multihead_attn.in_proj_": "text_qkv.",
    "self_attn.out_proj": "attention_out", "multihead_attn.out_proj": "text_out",
    "linear1": "w_in", "linear2": "w_out", "norm1": "attention_norm", "norm2": "text_norm",
    "norm3": "feed_forward_norm", "layers": "blocks",
}  # fmt: skip


def _renamed(name):
    for theirs, ours in _NAMES.items():
        name = name.replace(theirs, ours)
    return name


@pytest.mark.parametrize("has_padding", [False, True])
def test_it_is_pytorchs_decoder(has_padding):
    torch.manual_seed(0)
    layer = nn.TransformerDecoderLayer(
        TINY.width, TINY.num_heads, TINY.fusion_hidden, batch_first=True
    )
    theirs = nn.TransformerDecoder(layer, TINY.num_layers).eval()
    for parameter in theirs.parameters():
        nn.init.normal_(parameter, std=0.5)  # norms and biases too
    ours = CrossDecoder(TINY)
    ours.load_state_dict({_renamed(n): t for n, t in theirs.state_dict().items()})
    x, text = torch.randn(2, 5, TINY.width), torch.randn(2, 7, TINY.width)
    pads = torch.zeros(2, 7, dtype=torch.bool)
    pads[1, 4:] = has_padding
    causal = torch.ones(5, 5, dtype=torch.bool).triu(1)
    with torch.no_grad():
        want = theirs(x, text, tgt_mask=causal, memory_key_padding_mask=pads)
        lengths = torch.tensor([7, 4]) if has_padding else None
        steps = StepText(tokens=text, index=torch.arange(2).repeat_interleave(5), lengths=lengths)
        got = ours(x, steps, torch.zeros(2, 5, dtype=torch.int64), None, 0)
    torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-5)
