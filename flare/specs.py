"""Names, dtypes and shapes that several parts share."""

from dataclasses import dataclass

from flare.errors import UserError

# The twenty actions of the original in the order of its logits (csrc/sim/action.hpp has the same).
ACTION_NAMES: tuple[str, ...] = (
    "move_ahead",
    "rotate_right",
    "rotate_left",
    "move_back",
    "done",
    "sub_done",
    "rotate_left_small",
    "rotate_right_small",
    "pickup",
    "move_arm_in",
    "move_arm_out",
    "move_arm_up",
    "move_arm_down",
    "wrist_open",
    "wrist_close",
    "move_arm_down_small",
    "move_arm_in_small",
    "move_arm_out_small",
    "move_arm_up_small",
    "dropoff",
)

# The original's subset for navigation-only policies.
NAVIGATION_ACTIONS: tuple[str, ...] = (
    "move_ahead",
    "rotate_right",
    "rotate_left",
    "move_back",
    "done",
    "rotate_left_small",
    "rotate_right_small",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class CameraSpec:
    """What a policy's frames look like: uint8 [num_cameras, height, width, 3]."""

    width: int = 384  # px; the original's 396 less its crop
    height: int = 224  # px
    num_cameras: int = 1  # 1: navigation; 2: navigation and manipulation

    def __post_init__(self) -> None:
        for name in ("width", "height"):
            if not 8 <= getattr(self, name) <= 4096:
                raise UserError(
                    f"is {getattr(self, name)}", key=f"camera.{name}", mend="use 8 to 4096 pixels"
                )
        if self.num_cameras not in (1, 2):
            raise UserError(
                f"is {self.num_cameras}", key="camera.num_cameras", mend="use 1 or 2 cameras"
            )

    @property
    def frame_shape(self) -> tuple[int, int, int, int]:
        """(num_cameras, height, width, 3)."""
        return (self.num_cameras, self.height, self.width, 3)
