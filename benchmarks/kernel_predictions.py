"""What is expected of the kernels on a Hopper card, written down before any of them ran on one.

Floors are arithmetic: the larger of bytes over the measured copy rate and operations over the
measured product rate. ``fraction`` is the share of the floor's rate that is expected, ``ratio`` how
many times as fast as the best other way; ``None`` where nothing is claimed. A launch alone takes
3 us, so short work has low fractions. Directions are those of bench_kernels: "called" is launched
from Python, "both" is forward and backward as one graph.
"""

# Expected before the first run: (fraction of the floor's rate, ratio to the best baseline).
PREDICTIONS: dict[str, dict[str, tuple[float | None, float | None]]] = {
    "attention/4096x181x8x64": {"forward": (0.75, 1.15), "backward": (0.6, 1.6)},
    "attention/512x181x8x64": {"forward": (0.7, 1.1), "backward": (0.55, 1.5)},
    "attention/64x433x6x64": {"forward called": (0.45, 1.0), "backward called": (0.35, 1.0)},
    "attention/16x433x6x64": {"forward called": (0.25, 1.0), "backward called": (0.2, 1.0)},
    "attention causal segments/32x128x8x64": {
        "forward called": (0.1, 1.5),
        "backward called": (0.1, 1.5),
    },
    "decode_attention/8x129": {"forward": (0.1, 1.5)},
    "decode_attention/64x129": {"forward": (0.4, 1.5)},
    "decode_attention/64x1000": {"forward": (0.6, 1.5)},
    "pool_attention/4096x181": {"forward": (0.7, 3.0), "backward": (0.5, 4.0)},
    "add_layernorm/741376x512": {"forward": (0.85, 1.2), "backward": (0.75, 1.5)},
    "add_rmsnorm/4096x512": {"forward": (0.3, 1.5), "both": (0.2, 1.5)},
    "swiglu/4096x1536": {"forward": (0.5, 1.5), "both": (0.5, 1.5)},
    "layernorm_relu_token/4096": {"forward": (0.8, 2.5), "backward": (0.7, 2.5)},
    "ln_pool/64x433x384": {"forward": (0.5, 3.0)},
    "augment_patches/64": {"forward": (None, 10.0)},
    "gae/128x32": {"forward": (None, 50.0)},
    "sample_action/32x20": {"forward": (None, 3.0)},
    "ppo_loss/4096x20": {"forward": (None, 5.0), "backward": (None, 3.0)},
}
