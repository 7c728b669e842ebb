"""Sizes of the policy's parts, and the presets in use."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from flare.errors import UserError
from flare.specs import CameraSpec


def _require(condition: bool, key: str, what: str, mend: str) -> None:
    if not condition:
        raise UserError(what, key=key, mend=mend)


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageEncoderConfig:
    """Convolutions from frames to a small grid of cells; the cameras share the weights."""

    height: int = 48  # px
    width: int = 84  # px
    num_cameras: int = 1
    channels: tuple[int, ...] = (
        16,
        32,
        64,
    )  # of each convolution; all but the first halve the grid
    first_kernel: int = 6  # px
    first_stride: int = 3  # px; no padding: the pixel scale is folded into these weights
    grid_channels: int = 32  # kept per cell; cameras x rows x columns x this = numbers per step

    def __post_init__(self) -> None:
        for name in ("num_cameras", "first_kernel", "first_stride", "grid_channels"):
            value = getattr(self, name)
            _require(value >= 1, f"image.{name}", f"is {value}", "use a positive number")
        _require(
            len(self.channels) > 0 and min(self.channels) >= 1,
            "image.channels",
            f"is {self.channels}",
            "list at least one positive number of channels",
        )
        for name in ("height", "width"):
            value = getattr(self, name)
            _require(
                value >= self.first_kernel,
                f"image.{name}",
                f"is {value}, below the first kernel's {self.first_kernel}",
                "use larger frames or a smaller first_kernel",
            )

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of cells that one camera's frame becomes."""
        rows, columns = (
            (size - self.first_kernel) // self.first_stride + 1
            for size in (self.height, self.width)
        )
        for _ in self.channels[1:]:
            rows, columns = -(-rows // 2), -(-columns // 2)
        return rows, columns

    @property
    def num_cells(self) -> int:
        """M: cells of all cameras together."""
        rows, columns = self.grid
        return self.num_cameras * rows * columns

    @property
    def num_features(self) -> int:
        """F: numbers kept of one step's frames, M x grid_channels."""
        return self.num_cells * self.grid_channels


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicyConfig:
    """Everything that fixes the policy's parameters and their shapes."""

    image: ImageEncoderConfig = field(default_factory=ImageEncoderConfig)
    num_actions: int = 7  # A; the id A as previous action means "none yet"
    vocab_size: int = 128  # word ids of instructions, 0 pads
    # Words of an instruction whose places count ("the mug closest to the bed" is not "the bed
    # closest to the mug"); 0: a bag of words, of any length.
    num_places: int = 0
    width: int = 128  # d: of the transformer's stream and of every embedding
    goal_heads: int = 4  # filters that the goal lays over the image grid
    fusion_hidden: int = 128  # of the MLP that joins image and goal
    num_layers: int = 2  # of the causal decoder
    num_heads: int = 4  # attention heads; divides width
    hidden: int = 256  # of each SwiGLU feed-forward
    # "tower": a second copy of everything behind the image encoder, as the original has;
    # "facts": an MLP on the simulator's privileged features.
    critic: Literal["tower", "facts"] = "tower"
    num_facts: int = 0  # K: privileged features that critic "facts" reads
    sees_hand: bool = False  # whether the actor is told that an object is in its hand
    critic_hidden: int = 128  # of the two hidden layers of critic "facts"

    def __post_init__(self) -> None:
        sizes = ("num_actions", "vocab_size", "width", "goal_heads", "fusion_hidden", "num_layers",
                 "num_heads", "hidden", "critic_hidden")  # fmt: skip
        for name in sizes:
            value = getattr(self, name)
            _require(value >= 1, name, f"is {value}", "use a positive number")
        _require(
            self.width % (2 * self.num_heads) == 0,
            "width",
            f"is {self.width}, not an even multiple of num_heads = {self.num_heads}",
            "choose width as a multiple of 2 x num_heads",
        )
        _require(
            self.critic in ("tower", "facts"),
            "critic",
            f"is {self.critic!r}",
            "use 'tower' or 'facts'",
        )
        _require(self.num_places >= 0, "num_places", f"is {self.num_places}", "use 0 or more")
        _require(
            self.critic == "tower" or self.num_facts >= 1,
            "num_facts",
            f"is {self.num_facts}, and critic 'facts' reads nothing else",
            "give the number of privileged features, or use critic 'tower'",
        )

    @property
    def head_dim(self) -> int:
        """D: width of one attention head."""
        return self.width // self.num_heads

    @property
    def num_cached_layers(self) -> int:
        """Attention layers with keys to remember: the actor's, then the critic tower's."""
        return self.num_layers * (2 if self.critic == "tower" else 1)


def small_preset(
    *,
    camera: CameraSpec,
    num_actions: int,
    vocab_size: int,
    num_facts: int,
    critic: Literal["tower", "facts"] = "facts",
    sees_hand: bool = False,
    num_places: int = 0,
) -> PolicyConfig:
    """Return the policy that trains on two CPU cores: 0.6 M parameters with critic "facts".

    Args:
        camera: the frames; larger ones get larger first strides, so that the grid stays near
            4 x 7 cells a camera.
        num_actions: A.
        vocab_size: word ids, padding included.
        num_facts: K, privileged features of a step.
        critic: what the value is computed from.
        sees_hand: whether the in-hand bit is an input.
        num_places: words of an instruction, if their order counts.
    """
    stride = max(1, camera.height // 16)
    image = ImageEncoderConfig(
        height=camera.height,
        width=camera.width,
        num_cameras=camera.num_cameras,
        first_kernel=2 * stride,
        first_stride=stride,
        grid_channels=32 // camera.num_cameras,  # keeps a step below 1,024 numbers
    )
    return PolicyConfig(
        image=image,
        num_actions=num_actions,
        vocab_size=vocab_size,
        num_facts=num_facts,
        critic=critic,
        sees_hand=sees_hand,
        num_places=num_places,
    )


PRESETS: dict[str, Callable[..., PolicyConfig]] = {"small": small_preset}
