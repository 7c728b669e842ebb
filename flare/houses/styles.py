"""Styles of houses: which rooms make a house, what stands in them, how doors and walls are.

``procthor`` follows the houses of ProcTHOR-Objaverse: its numbers are counts over real files (how
often a room of a type has a piece, how many things lie on one), with built-in assets in the place
of Objaverse ones. ``plain`` is a sparse world for quick experiments; no door leaf hides anything.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from flare.houses import kinds
from flare.houses.kinds import Furniture
from flare.houses.library import Color, materials

_K, _L, _B, _b = "Kitchen", "LivingRoom", "Bedroom", "Bathroom"


@dataclass(frozen=True, kw_only=True, slots=True)
class Style:
    """Tables and chances that a house is drawn from."""

    # Rooms and walls.
    programmes: Mapping[int, tuple[tuple[str, ...], ...]] = field(default_factory=dict)
    # A house's rooms are chosen before all attempts at it, so that failures favour no small houses;
    # its rooms are large or small together.
    rooms_first: bool = False
    split_tries: int = 1  # ways tried to divide each part of the floor among its rooms
    ceiling_skew: float = 1.0  # exponent: above 1, low ceilings are more frequent
    corner_chance: float = 0.5  # of a corner given to a neighbour, per try
    corners_per_room: float = 0.0  # tries; 0: one a house

    # Doors and windows.
    hosts: Mapping[str, float] = field(  # weight of a room that another is entered from
        default_factory=lambda: {_L: 3.0, _K: 2.0}
    )
    frame_chance: float = 0.2  # of a door frame instead of a door
    open_plan_chance: float = 0.0  # kitchen and living room: half of it no wall, half a frame
    extra_door_chance: float = 0.25  # of a second way between rooms that are joined already
    window_chance: float = 0.6  # in each outer wall piece that is long enough
    doors: tuple[str, ...] = kinds.DOOR_ASSETS  # the narrowest first
    frames: tuple[str, ...] = kinds.FRAME_ASSETS
    windows: tuple[str, ...] = kinds.WINDOW_ASSETS
    minds_leaves: bool = False  # furniture and the robot keep clear of open leaves
    before_door: float = 0.9  # m that stay empty on the side it opens from
    behind_door: float = 0.9  # m on the side that it opens into

    # Furniture and what lies on it.
    furniture: Mapping[str, tuple[Furniture, ...]] = field(
        default_factory=lambda: kinds.ROOM_FURNITURE
    )
    full_room: float | None = None  # m²; a larger room is furnished a second time, more thinly
    goal_tries: int = 1  # times that each room is tried for a missing goal's receptacle
    stands: Mapping[str, tuple[str, ...]] = field(
        default_factory=dict
    )  # new ones for goals, by room
    chair_gap: float = 0.13  # m between a table and its chairs
    chair_turn_deg: float = 0.0  # a chair is this far out of line at most
    on_top: Mapping[str, Mapping[str, float]] = field(default_factory=lambda: kinds.ON_TOP)
    top_counts: Mapping[str, float] = field(default_factory=dict)  # mean; others by area
    most_per_top: int = 5
    highest_top: float = kinds.HIGHEST_TOP  # m
    back_strip: Mapping[str, float] = field(default_factory=dict)  # share of the top that is flat
    arm_reach: float | None = None  # m from the robot to what it may be sent for; None: any
    painting_tries: int = 2  # a room
    wall_television_chance: float = 0.0

    # Looks.
    floor_materials: tuple[str, ...] = kinds.FLOOR_MATERIALS
    wall_materials: tuple[str, ...] = kinds.WALL_MATERIALS
    wall_colors: tuple[Color, ...] = ()  # half of the rooms are painted in one of these
    exterior_materials: tuple[str, ...] = kinds.EXTERIOR_MATERIALS
    skyboxes: tuple[str, ...] = kinds.SKYBOXES


_FURNITURE: dict[str, tuple[Furniture, ...]] = {
    _K: (
        Furniture("Fridge", 0.95),
        Furniture("CounterTop", 0.97),
        Furniture("DiningTable", 0.65, "middle"),
        Furniture("GarbageCan", 0.3),
        Furniture("GarbageBag", 0.33),
        Furniture("ShelvingUnit", 0.25),
        Furniture("SideTable", 0.15),
        Furniture("HousePlant", 0.35),
        Furniture("Stool", 0.25, tries=2),
        Furniture("Chair", 0.15),
        Furniture("Safe", 0.04),
    ),
    _L: (
        Furniture("Sofa", 0.9),
        Furniture("TVStand", 0.6),
        Furniture("DiningTable", 0.9, "middle"),
        Furniture("CoffeeTable", 0.2, "middle"),
        Furniture("ArmChair", 0.2, tries=2),
        Furniture("FloorLamp", 0.3),
        Furniture("HousePlant", 0.35),
        Furniture("Cart", 0.15),
        Furniture("SideTable", 0.25),
        Furniture("ShelvingUnit", 0.2),
        Furniture("Dresser", 0.1),
        Furniture("Desk", 0.1),
        Furniture("GarbageCan", 0.15),
        Furniture("Box", 0.15),
        Furniture("DogBed", 0.12),
        Furniture("Ottoman", 0.05),
    ),
    _B: (
        Furniture("Bed", 0.98),
        Furniture("Dresser", 0.97),
        Furniture("SideTable", 0.2, tries=2),
        Furniture("DiningTable", 0.4, "middle"),
        Furniture("Desk", 0.25),
        Furniture("TVStand", 0.2),
        Furniture("ArmChair", 0.28),
        Furniture("FloorLamp", 0.3),
        Furniture("HousePlant", 0.3),
        Furniture("ShelvingUnit", 0.15),
        Furniture("GarbageCan", 0.15),
        Furniture("LaundryHamper", 0.1),
        Furniture("Box", 0.18),
        Furniture("DogBed", 0.08),
        Furniture("BasketBall", 0.12, "middle"),
        Furniture("VacuumCleaner", 0.03),
        Furniture("Boots", 0.03),
    ),
    _b: (
        Furniture("Toilet", 0.97),
        Furniture("Sink", 0.97),
        Furniture("Plunger", 0.45),
        Furniture("GarbageCan", 0.4),
        Furniture("LaundryHamper", 0.15),
        Furniture("WashingMachine", 0.1),
        Furniture("ClothesDryer", 0.07),
        Furniture("SideTable", 0.12),
        Furniture("Dresser", 0.08),
        Furniture("ShelvingUnit", 0.2),
    ),
}

_ON_TOP: dict[str, dict[str, float]] = {
    "DiningTable": {
        "Bowl": 0.4, "Book": 0.35, "Statue": 0.33, "Pencil": 0.28, "Plate": 0.24, "Vase": 0.22,
        "HousePlant": 0.22, "CellPhone": 0.21, "Pen": 0.21, "Mug": 0.19, "RemoteControl": 0.18,
        "DeskLamp": 0.17, "Laptop": 0.16, "KeyChain": 0.16, "CreditCard": 0.16, "Watch": 0.14,
        "Candle": 0.1, "Apple": 0.1, "Box": 0.09, "Bread": 0.08, "Bottle": 0.07, "Newspaper": 0.07,
        "SprayBottle": 0.05,
    },
    "CounterTop": {
        "SoapBottle": 0.64, "ButterKnife": 0.51, "Spatula": 0.5, "Fork": 0.45,
        "PepperShaker": 0.43, "SaltShaker": 0.43, "Potato": 0.42, "Spoon": 0.4,
        "SprayBottle": 0.37, "Knife": 0.37, "Cup": 0.31, "DishSponge": 0.3, "Bread": 0.29,
        "Tomato": 0.27, "Lettuce": 0.26, "PaperTowelRoll": 0.26, "Mug": 0.26, "Toaster": 0.23,
        "Pan": 0.22, "Apple": 0.22, "Egg": 0.22, "Pot": 0.2, "Bowl": 0.2, "Plate": 0.2,
        "CoffeeMachine": 0.15, "Kettle": 0.1, "Vase": 0.1, "Microwave": 0.1,
    },
    "Desk": {
        "Pencil": 0.88, "Book": 0.84, "Pen": 0.83, "CellPhone": 0.58, "KeyChain": 0.58, "CD": 0.38,
        "CreditCard": 0.33, "DeskLamp": 0.28, "Mug": 0.27, "Statue": 0.27, "TissueBox": 0.24,
        "RemoteControl": 0.24, "Bowl": 0.23, "Watch": 0.22, "Laptop": 0.16, "AlarmClock": 0.14,
        "Vase": 0.14, "BasketBall": 0.1, "HousePlant": 0.07, "Dumbbell": 0.08,
    },
    "Dresser": {
        "Book": 0.48, "CellPhone": 0.36, "RemoteControl": 0.28, "Pencil": 0.27, "Pen": 0.24,
        "Vase": 0.23, "Statue": 0.23, "KeyChain": 0.22, "CD": 0.21, "CreditCard": 0.21,
        "HousePlant": 0.19, "AlarmClock": 0.19, "TissueBox": 0.18, "Mug": 0.18, "Watch": 0.18,
        "Bowl": 0.17, "DeskLamp": 0.16, "Laptop": 0.1, "BasketBall": 0.07, "SprayBottle": 0.05,
        "TeddyBear": 0.1,
    },
    "SideTable": {
        "CellPhone": 0.18, "TissueBox": 0.16, "CreditCard": 0.15, "RemoteControl": 0.14,
        "Watch": 0.14, "Pencil": 0.14, "Book": 0.13, "Pen": 0.13, "KeyChain": 0.13,
        "AlarmClock": 0.11, "Statue": 0.1, "Bowl": 0.1, "Vase": 0.1, "Mug": 0.09, "CD": 0.08,
        "HousePlant": 0.07, "DeskLamp": 0.06, "Candle": 0.05, "SprayBottle": 0.05, "Apple": 0.05,
        "BasketBall": 0.03, "Laptop": 0.03,
    },
    "CoffeeTable": {
        "Book": 0.5, "Statue": 0.44, "Watch": 0.39, "RemoteControl": 0.33, "KeyChain": 0.22,
        "Pencil": 0.22, "CreditCard": 0.22, "Bowl": 0.17, "CD": 0.17, "TissueBox": 0.17,
        "BasketBall": 0.11, "HousePlant": 0.11, "CellPhone": 0.11, "Laptop": 0.1, "Vase": 0.1,
        "Plate": 0.06, "Candle": 0.06, "Mug": 0.06, "Apple": 0.06, "AlarmClock": 0.04,
    },
    "TVStand": {
        "RemoteControl": 0.45, "Watch": 0.31, "KeyChain": 0.29, "CreditCard": 0.21,
        "CellPhone": 0.2, "Candle": 0.2, "Book": 0.2, "TissueBox": 0.19, "Vase": 0.19,
        "Bowl": 0.18, "Pencil": 0.17, "Statue": 0.12, "Box": 0.11, "AlarmClock": 0.07, "Mug": 0.07,
    },
    "ShelvingUnit": {
        "SprayBottle": 0.35, "Statue": 0.27, "Book": 0.23, "Vase": 0.23, "Apple": 0.08,
        "Newspaper": 0.08, "Pot": 0.08, "Bowl": 0.08, "AlarmClock": 0.05, "Box": 0.05,
        "BasketBall": 0.05,
    },
    "Sink": {"DishSponge": 0.3, "SoapBottle": 0.2, "SprayBottle": 0.1},
    "Toilet": {
        "ToiletPaper": 0.78, "SprayBottle": 0.5, "Candle": 0.27, "DishSponge": 0.17,
        "SoapBar": 0.17, "PaperTowelRoll": 0.16, "SoapBottle": 0.11, "Cloth": 0.09,
    },
    "Stool": {"Book": 1.0, "TissueBox": 1.0, "Mug": 0.5},
    "Cart": {"Bowl": 0.5, "Cup": 0.5, "Plate": 0.5, "Book": 0.3},
}  # fmt: skip

PLAIN = Style(frame_chance=1.0)

PROCTHOR = Style(
    programmes={
        1: ((_K,), (_L,), (_B,), (_b,)),
        2: ((_B, _b), (_K, _L)),
        3: ((_B, _K, _L), (_B, _b, _L)),
        4: ((_B, _K, _L, _b),),
        5: ((_B, _B, _K, _L, _b),),
        6: ((_B, _B, _K, _L, _b, _b),),
        7: ((_B, _B, _B, _K, _L, _L, _b),),
        8: ((_B, _B, _B, _K, _L, _L, _b, _b),),
        9: ((_B, _B, _B, _B, _K, _L, _b, _b, _b), (_B, _B, _B, _K, _L, _L, _b, _b, _b)),
        10: (
            (_B, _B, _B, _B, _K, _L, _b, _b, _b, _b),
            (_B, _B, _B, _K, _L, _L, _L, _b, _b, _b),
        ),
    },
    rooms_first=True,
    split_tries=4,
    ceiling_skew=1.5,
    corner_chance=0.6,
    corners_per_room=0.5,
    hosts={_L: 4.0, _K: 2.0, _B: 1.0, _b: 0.1},
    frame_chance=0.0,
    open_plan_chance=0.75,
    extra_door_chance=0.0,
    window_chance=0.38,
    doors=("Doorway_9", *(f"Doorway_{i}" for i in (1, 2, 3, 4, 5, 6, 7, 8, 10)),
           *(f"Doorway_Double_{i}" for _ in range(2) for i in range(1, 11))),
    frames=("Doorframe_9", *(f"Doorframe_{i}" for i in (1, 2, 3, 4, 5, 6, 7, 8, 10)),
            *(f"Doorframe_Double_{i}" for i in range(1, 11))),
    windows=("Window_Slider_36x36", "Window_Hung_32x60", "Window_Hung_36x32", "Window_Hung_44x60",
             "Window_Hung_48x24", "Window_Hung_48x32", "Window_Hung_48x44", "Window_Slider_48x24",
             "Window_Slider_48x36", "Window_Slider_48x48", "Window_Slider_60x36",
             "Window_Slider_60x48", "Window_Fixed_36x48", "Window_Fixed_60x36",
             "Window_Fixed_60x48", "Window_Fixed_96x48"),
    minds_leaves=True,
    before_door=0.6,
    behind_door=1.3,
    furniture=_FURNITURE,
    full_room=28.0,
    goal_tries=3,
    stands={_K: ("SideTable",), _b: ("SideTable",)},
    chair_gap=0.2,
    chair_turn_deg=14.0,
    on_top=_ON_TOP,
    # Counted means, raised because some things find no place and Objaverse's are missing.
    top_counts={
        "DiningTable": 10.0, "CounterTop": 18.0, "Desk": 11.0, "Dresser": 9.5, "SideTable": 5.0,
        "CoffeeTable": 7.0, "TVStand": 7.5, "ShelvingUnit": 5.0, "Sink": 1.2, "Toilet": 5.0,
        "Stool": 0.3, "Cart": 2.0,
    },
    most_per_top=20,
    highest_top=1.1,
    back_strip={"Toilet": 0.3},
    arm_reach=0.7,
    painting_tries=8,
    wall_television_chance=0.6,
    floor_materials=materials().floors,
    wall_materials=materials().walls,
    wall_colors=materials().wall_colors,
    exterior_materials=materials().walls,
    skyboxes=materials().skyboxes,
)  # fmt: skip

STYLES: dict[str, Style] = {"procthor": PROCTHOR, "plain": PLAIN}
