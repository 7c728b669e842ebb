"""Which key stands for which action."""

QUIT, NEXT = "quit", "next"

_ARROWS = {"\x1b[A": "w", "\x1b[B": "s", "\x1b[D": "a", "\x1b[C": "d"}
# Application mode sends the arrows with an O.
_ARROWS |= {code.replace("[", "O"): key for code, key in _ARROWS.items()}

ACTION_KEYS = {
    "w": "move_ahead",
    "s": "move_back",
    "a": "rotate_left",
    "d": "rotate_right",
    "q": "rotate_left_small",
    "e": "rotate_right_small",
    "p": "pickup",
    "o": "dropoff",
    "i": "move_arm_up",
    "k": "move_arm_down",
    "I": "move_arm_up_small",
    "K": "move_arm_down_small",
    "l": "move_arm_out",
    "j": "move_arm_in",
    "L": "move_arm_out_small",
    "J": "move_arm_in_small",
    "[": "wrist_open",
    "]": "wrist_close",
    "r": "sub_done",
    "x": "done",
}
_CONTROLS = {"n": NEXT, "Q": QUIT, "\x03": QUIT, "\x04": QUIT}

_HELP = (
    ("w s a d or arrows: walk, turn", "move_ahead"),
    ("q e: turn a little", "rotate_left_small"),
    ("p: pick up  o: drop", "pickup"),
    ("i k l j: arm up, down, out, in (capitals: a little)", "move_arm_up"),
    ("[ ]: wrist", "wrist_open"),
    ("r: report a room", "sub_done"),
    ("x: done", "done"),
)


def meaning(key: str) -> str | None:
    """The action, QUIT or NEXT that a key asks for; None for any other key."""
    key = _ARROWS.get(key, key)
    return ACTION_KEYS.get(key) or _CONTROLS.get(key)


def help_lines(actions: tuple[str, ...]) -> str:
    """The keys of these actions in one line."""
    shown = [text for text, action in _HELP if action in actions]
    return "   ".join([*shown, "n: next episode", "Q: quit"])
