"""Frozen encoders from other libraries' models (random weights here), where these are installed."""

import sys

import pytest
import torch

from flare.errors import UserError
from flare.importing.layout import text_encoder_entries
from flare.importing.sources import (
    TIMM_MODELS,
    image_encoder_weights,
    text_encoder_weights,
    timm_image_weights,
    tokenizer_file,
)
from flare.importing.weights import import_weights
from flare.policy.spoc.config import PRESETS, SpocConfig
from flare.policy.spoc.siglip_text import SiglipTextEncoder
from flare.policy.spoc.t5 import T5Encoder
from flare.policy.spoc.vision_transformer import VisionTransformer


def _load(module, weights, prefix):
    module.load_state_dict({name.removeprefix(prefix): t for name, t in weights.items()})
    return module.eval()


@pytest.mark.parametrize("preset", ["small_3", "siglip_base_3"])
def test_timm_computes_the_same(preset):
    timm = pytest.importorskip("timm")
    config = PRESETS[preset]()
    image, size = config.image, config.image.table * config.image.patch
    name = TIMM_MODELS[image.family, image.embed]
    theirs = timm.create_model(name, pretrained=False).eval()
    ours = _load(
        VisionTransformer(image), timm_image_weights(theirs.state_dict(), config),
        "image_encoder.vit.",
    )  # fmt: skip
    x = torch.randn(1, 3, size, size)
    with torch.no_grad():
        want = theirs.forward_features(x)[:, -(image.table**2) :]
        got = ours(x, ours.patches.weight, ours.patches.bias).flatten(2).transpose(1, 2)
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4)


def test_open_clip_computes_the_same():
    open_clip = pytest.importorskip("open_clip")
    config = PRESETS["siglip_base_3"]()
    theirs = open_clip.create_model("ViT-B-16-SigLIP-256", pretrained=None).text.eval()
    theirs.output_tokens = True
    weights = import_weights(theirs.state_dict(), text_encoder_entries(config), width=config.width)
    ours = _load(SiglipTextEncoder(config.text), weights, "instructions.encoder.")
    ids = torch.randint(0, config.text.vocab_size, (2, 64))
    with torch.no_grad():
        pooled, tokens = theirs(ids)
        got = ours(ids)
    torch.testing.assert_close(got, torch.cat([tokens, pooled[:, None]], 1), rtol=1e-4, atol=1e-4)


def test_transformers_computes_the_same():
    transformers = pytest.importorskip("transformers")
    config = SpocConfig()
    text = config.text
    theirs = transformers.T5EncoderModel(
        transformers.T5Config(
            vocab_size=text.vocab_size, d_model=text.embed, d_kv=text.embed // text.num_heads,
            d_ff=text.hidden, num_layers=text.depth, num_heads=text.num_heads,
        )
    ).eval()  # fmt: skip
    weights = import_weights(theirs.state_dict(), text_encoder_entries(config), width=config.width)
    ours = _load(T5Encoder(text), weights, "instructions.encoder.")
    ids = torch.randint(3, text.vocab_size, (2, 40))
    ids[1, 30:] = 0
    with torch.no_grad():
        want = theirs(input_ids=ids, attention_mask=(ids != 0).long()).last_hidden_state
        got = ours(ids)
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4)


def test_what_cannot_be_had_is_said(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)  # as if it were not installed
    with pytest.raises(UserError, match=r"timm is not installed\. Mend: pip install timm"):
        image_encoder_weights("timm", SpocConfig())
    with pytest.raises(UserError, match="no such file"):
        image_encoder_weights(str(tmp_path / "vit.pth"), SpocConfig())
    with pytest.raises(UserError, match="use 'transformers' for t5"):
        text_encoder_weights("open_clip", SpocConfig())
    with pytest.raises(UserError, match="no such file"):
        tokenizer_file(str(tmp_path))
