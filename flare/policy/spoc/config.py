"""Sizes and switches of the SPOC/FLaRe policy, and its presets.

The numbers of the presets are those of the original's model versions of the same names.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Literal

from flare.errors import UserError

ImageFamily = Literal["dinov2", "siglip"]
TextFamily = Literal["t5", "siglip"]
Critic = Literal["tower", "shared", "facts"]
CriticHeadKind = Literal["linear", "mlp", "discrete"]

_FF_MULTIPLE = 256  # the decoder's feed-forward is rounded up to a multiple of this


def _require(condition: bool, key: str, what: str, mend: str) -> None:
    if not condition:
        raise UserError(what, key=key, mend=mend)


def _positive(config: object, names: tuple[str, ...], prefix: str) -> None:
    for name in names:
        value = getattr(config, name)
        _require(value >= 1, f"{prefix}{name}", f"is {value}", "use a positive number")


@dataclass(frozen=True, kw_only=True, slots=True)
class Compat:
    """Oddities of the original: each is reproduced where true and mended where false.

    docs/oddities.md says what each one does and what the mended version does instead.
    """

    shared_counter: bool = False  # one cache place for all environments, back to 0 at max_steps
    time_window_mask: bool = False  # bool mask of a single step from time_step, not from the cache
    text_padding: bool = False  # pad tokens of the call's instructions take part in the fusion
    central_crop: bool = False  # frames are cut to the middle 78 % of the width and stretched
    shared_augmentation: bool = False  # one draw for all environments, kept for 500 calls
    max_steps: int = 500  # cache places with shared_counter

    def __post_init__(self) -> None:
        _positive(self, ("max_steps",), "compat.")
        on, off = "shared_counter", "time_window_mask"
        if self.time_window_mask:
            on, off = off, on
        _require(
            self.shared_counter == self.time_window_mask,
            f"compat.{off}",
            f"is off while {on} is on",
            "use both or none: a cache with one counter does not know where an episode began, and "
            "one that knows needs no window",
        )

    @classmethod
    def named(cls, name: Literal["flare", "weights", "none"]) -> "Compat":
        """``flare``: every oddity; ``none``: none; ``weights``: what released weights were fed.

        The released weights only ever saw the middle of the image, so ``weights`` keeps that crop
        and mends the rest.
        """
        if name == "flare":
            return cls(**{f.name: True for f in fields(cls) if f.type is bool or f.type == "bool"})
        return cls(central_crop=name == "weights")


@dataclass(frozen=True, kw_only=True, slots=True)
class VisionConfig:
    """The frozen image encoder: a vision transformer whose patch tokens are pooled to a grid."""

    family: ImageFamily = "dinov2"
    height: int = 224  # px, of a camera's frame
    width: int = 384  # px
    num_cameras: int = 2  # navigation, then manipulation
    embed: int = 384  # channels of a patch token
    depth: int = 12
    num_heads: int = 6
    patch: int = 14  # px
    table: int = 37  # rows and columns of the learned position table
    grid: tuple[int, int] = (7, 12)  # rows and columns kept of a camera's patches

    def __post_init__(self) -> None:
        _positive(self, ("num_cameras", "embed", "depth", "num_heads", "patch", "table"), "image.")
        _require(
            self.embed % self.num_heads == 0,
            "image.embed",
            f"is {self.embed}, not a multiple of num_heads = {self.num_heads}",
            "choose a multiple",
        )
        rows, columns = self.patches
        _require(
            rows >= self.grid[0] and columns >= self.grid[1],
            "image.grid",
            f"is {self.grid}, finer than the {rows} x {columns} patches",
            "use larger frames or a coarser grid",
        )

    @property
    def patches(self) -> tuple[int, int]:
        """Rows and columns of patches of one image."""
        if self.family == "siglip":  # frames are resized to the table's own size
            return self.table, self.table
        return self.height // self.patch, self.width // self.patch

    @property
    def num_cells(self) -> int:
        """Cells of one camera."""
        return self.grid[0] * self.grid[1]

    @property
    def num_features(self) -> int:
        """F: numbers kept of one step's frames; camera, cell (row-major), channel."""
        return self.num_cameras * self.num_cells * self.embed


@dataclass(frozen=True, kw_only=True, slots=True)
class TextConfig:
    """The frozen text encoder."""

    family: TextFamily = "t5"
    vocab_size: int = 32128
    embed: int = 512
    depth: int = 6
    num_heads: int = 8
    hidden: int = 2048
    # Token ids of an instruction are at most this; 0 pads (SigLIP: 1, to its full context).
    max_tokens: int = 64

    def __post_init__(self) -> None:
        _positive(
            self, ("vocab_size", "embed", "depth", "num_heads", "hidden", "max_tokens"), "text."
        )

    @property
    def num_outputs(self) -> int:
        """Text tokens that a fully used context hands on; SigLIP appends its pooled token."""
        return self.max_tokens + (self.family == "siglip")


@dataclass(frozen=True, kw_only=True, slots=True)
class SpocConfig:
    """Everything that fixes the policy's parameters, their shapes and how they are used."""

    image: VisionConfig = field(default_factory=VisionConfig)
    text: TextConfig = field(default_factory=TextConfig)
    num_actions: int = 20  # A; as previous action A means "none yet" and A + 1 pads
    width: int = 512  # d: of fusion, decoder and every embedding
    fusion_layers: int = 3
    fusion_heads: int = 8
    fusion_hidden: int = 2048
    num_layers: int = 3  # of the causal decoder
    num_heads: int = 8
    # "causal": over the steps, as in FLaRe; "cross": over the steps and the instruction's tokens,
    # as in SPOC's first release.
    decoder: Literal["causal", "cross"] = "causal"
    # "tower": a second copy of everything behind the frozen encoders; "shared": the actor's
    # beliefs; "facts": an MLP on the simulator's privileged features.
    critic: Critic = "tower"
    critic_head: CriticHeadKind = "linear"  # of critics over beliefs
    # Two-tower files hold two text encoders. They are equal in every file that training writes,
    # as neither ever gets a gradient; "own" keeps a second one where they are not.
    critic_text: Literal["shared", "own"] = "shared"
    num_facts: int = 0  # K: privileged features of a step; needed by critic "facts"
    critic_hidden: int = 128  # of the two hidden layers of critic "facts"
    compat: Compat = field(default_factory=Compat)

    def __post_init__(self) -> None:
        sizes = ("num_actions", "width", "fusion_layers", "fusion_heads", "fusion_hidden",
                 "num_layers", "num_heads", "critic_hidden")  # fmt: skip
        _positive(self, sizes, "")
        for name in ("num_heads", "fusion_heads"):
            _require(
                self.width % (2 * getattr(self, name)) == 0,
                "width",
                f"is {self.width}, not an even multiple of {name} = {getattr(self, name)}",
                f"choose width as a multiple of 2 x {name}",
            )
        _require(
            self.critic != "facts" or self.num_facts >= 1,
            "num_facts",
            f"is {self.num_facts}, and critic 'facts' reads nothing else",
            "give the number of privileged features, or use critic 'tower'",
        )
        _require(
            self.critic_text == "shared" or self.critic == "tower",
            "critic_text",
            "is 'own' without a critic tower",
            "use 'shared', or critic 'tower'",
        )

    @property
    def hidden(self) -> int:
        """Of each SwiGLU feed-forward: two thirds of 4 d, rounded up to a multiple of 256."""
        return -(-(8 * self.width // 3) // _FF_MULTIPLE) * _FF_MULTIPLE

    @property
    def head_dim(self) -> int:
        """D: width of one attention head of the decoder."""
        return self.width // self.num_heads

    @property
    def num_cached_layers(self) -> int:
        """Attention layers with keys to remember: the actor's, then the critic tower's."""
        return self.num_layers * (2 if self.critic == "tower" else 1)


_DINO_BASE = VisionConfig(embed=768, num_heads=12)
_SIGLIP_BASE = VisionConfig(
    family="siglip", embed=768, depth=12, num_heads=12, patch=16, table=16, grid=(7, 12)
)
_SIGLIP_TEXT = TextConfig(
    family="siglip", vocab_size=32000, embed=768, depth=12, num_heads=12, hidden=3072, max_tokens=64
)

PRESETS: dict[str, Callable[[], SpocConfig]] = {
    "small_3": SpocConfig,
    "small_6": lambda: SpocConfig(fusion_layers=6, num_layers=6),
    "base_3": lambda: SpocConfig(image=_DINO_BASE),
    "base_6": lambda: SpocConfig(image=_DINO_BASE, width=768, fusion_layers=6, num_layers=6),
    "siglip_base_3": lambda: SpocConfig(image=_SIGLIP_BASE, text=_SIGLIP_TEXT),
}
