"""What stands where: the tables that a generated house is furnished from."""

from typing import Literal, NamedTuple

Where = Literal["wall", "middle"]


class Furniture(NamedTuple):
    """A kind of floor object and how often a room has it."""

    type: str
    chance: float  # of each try
    where: Where = "wall"
    tries: int = 1


# In order of placement: what a room is for comes first, while there is space.
ROOM_FURNITURE: dict[str, tuple[Furniture, ...]] = {
    "LivingRoom": (
        Furniture("Sofa", 0.95),
        Furniture("TVStand", 0.85),
        Furniture("CoffeeTable", 0.5, "middle"),
        Furniture("ArmChair", 0.5, tries=2),
        Furniture("DiningTable", 0.35, "middle"),
        Furniture("ShelvingUnit", 0.45),
        Furniture("SideTable", 0.5, tries=2),
        Furniture("Desk", 0.3),
        Furniture("FloorLamp", 0.5),
        Furniture("HousePlant", 0.5),
        Furniture("Dresser", 0.2),
        Furniture("GarbageCan", 0.2),
        Furniture("DogBed", 0.15),
        Furniture("Box", 0.25),
        Furniture("BasketBall", 0.15, "middle"),
    ),
    "Kitchen": (
        Furniture("Fridge", 0.95),
        Furniture("CounterTop", 0.95, tries=2),
        Furniture("DiningTable", 0.75, "middle"),
        Furniture("SideTable", 0.35),
        Furniture("GarbageCan", 0.7),
        Furniture("ShelvingUnit", 0.25),
        Furniture("Stool", 0.35, tries=2),
        Furniture("Chair", 0.2),
        Furniture("HousePlant", 0.25),
        Furniture("GarbageBag", 0.2),
    ),
    "Bedroom": (
        Furniture("Bed", 0.98),
        Furniture("Dresser", 0.75),
        Furniture("SideTable", 0.6, tries=2),
        Furniture("Desk", 0.45),
        Furniture("TVStand", 0.2),
        Furniture("ShelvingUnit", 0.25),
        Furniture("ArmChair", 0.2),
        Furniture("FloorLamp", 0.35),
        Furniture("HousePlant", 0.35),
        Furniture("GarbageCan", 0.3),
        Furniture("LaundryHamper", 0.2),
        Furniture("DogBed", 0.15),
        Furniture("Safe", 0.1),
        Furniture("BasketBall", 0.2, "middle"),
    ),
    "Bathroom": (
        Furniture("Toilet", 0.98),
        Furniture("Sink", 0.95),
        Furniture("ShelvingUnit", 0.3),
        Furniture("GarbageCan", 0.45),
        Furniture("LaundryHamper", 0.3),
        Furniture("Stool", 0.15),
        Furniture("HousePlant", 0.2),
        Furniture("Plunger", 0.3),
    ),
}

# What even a large room has one of.
ONE_A_ROOM = frozenset({"Fridge", "Toilet", "Sofa", "TVStand", "Bed", "WashingMachine",
                        "ClothesDryer", "Plunger"})  # fmt: skip

CHAIRED_TABLES = frozenset({"DiningTable", "Desk"})

# What may lie on top of a receptacle, each with its weight.
ON_TOP: dict[str, dict[str, float]] = {
    "DiningTable": {
        "Bowl": 2, "Mug": 2, "Plate": 2, "Apple": 2, "Vase": 1.5, "Laptop": 1, "Bread": 1,
        "Book": 1, "Cup": 1, "HousePlant": 0.5, "SprayBottle": 0.5, "Newspaper": 0.5, "Candle": 0.5,
    },
    "CounterTop": {
        "Bowl": 2, "Mug": 2, "Apple": 2, "Toaster": 1, "CoffeeMachine": 1, "Kettle": 0.7,
        "Pot": 1, "Pan": 1, "SprayBottle": 1.5, "SoapBottle": 0.7, "Lettuce": 0.7, "Tomato": 0.7,
        "Potato": 0.7, "Microwave": 0.5, "Vase": 0.7, "Bread": 0.7,
    },
    "Desk": {
        "Laptop": 3, "AlarmClock": 2, "Book": 1.5, "Mug": 2, "CellPhone": 1, "Vase": 1,
        "DeskLamp": 1.5, "HousePlant": 0.5, "RemoteControl": 0.5, "Bowl": 0.5, "TissueBox": 0.5,
    },
    "Dresser": {
        "AlarmClock": 2, "Vase": 2, "Book": 1, "TissueBox": 1, "Statue": 1.5, "Television": 0.7,
        "Laptop": 0.7, "SprayBottle": 0.7, "Candle": 0.7, "Box": 0.5, "Bowl": 0.7,
    },
    "SideTable": {
        "AlarmClock": 2, "DeskLamp": 1.5, "Book": 1, "Mug": 1.5, "Vase": 1.5, "CellPhone": 0.7,
        "RemoteControl": 0.7, "HousePlant": 0.7, "Apple": 0.7, "Bowl": 0.7, "SprayBottle": 0.7,
    },
    "CoffeeTable": {
        "RemoteControl": 1.5, "Book": 1, "Bowl": 1.5, "Laptop": 1.5, "Vase": 1.5, "Newspaper": 1,
        "Mug": 1.5, "Apple": 1, "AlarmClock": 0.5, "Statue": 0.5,
    },
    "TVStand": {"RemoteControl": 1, "Vase": 1, "Statue": 1, "Box": 0.5, "AlarmClock": 0.7},
    "ShelvingUnit": {"Vase": 1.5, "Box": 1, "Statue": 1, "Book": 1, "HousePlant": 1,
                     "SprayBottle": 1, "AlarmClock": 1, "Bowl": 1, "Mug": 0.7},
    "Sink": {"SoapBottle": 1, "SprayBottle": 1.5, "Candle": 0.5, "Mug": 0.5},
    "Toilet": {"ToiletPaper": 1, "SprayBottle": 1, "TissueBox": 0.7, "Candle": 0.5},
    "Stool": {"Book": 1, "Mug": 1, "TissueBox": 1},
}  # fmt: skip

# Rooms that a goal object is at home in. A house without any of them takes other goals while there
# are enough.
GOAL_ROOMS: dict[str, tuple[str, ...]] = {
    "AlarmClock": ("Bedroom", "LivingRoom"),
    "Apple": ("Kitchen", "LivingRoom"),
    "BasketBall": ("Bedroom", "LivingRoom"),
    "Bed": ("Bedroom",),
    "Bowl": ("Kitchen", "LivingRoom"),
    "Chair": ("Kitchen", "LivingRoom", "Bedroom"),
    "GarbageCan": ("Kitchen", "Bathroom", "Bedroom", "LivingRoom"),
    "HousePlant": ("LivingRoom", "Bedroom", "Kitchen", "Bathroom"),
    "Laptop": ("LivingRoom", "Bedroom", "Kitchen"),
    "Mug": ("Kitchen", "LivingRoom", "Bedroom"),
    "Sofa": ("LivingRoom",),
    "SprayBottle": ("Bathroom", "Kitchen", "Bedroom"),
    "Television": ("LivingRoom", "Bedroom"),
    "Toilet": ("Bathroom",),
    "Vase": ("LivingRoom", "Bedroom", "Kitchen"),
}

# Goals that are small enough to be picked up, so they must lie where an arm gets at them.
FETCHED_TYPES = frozenset({"AlarmClock", "Apple", "BasketBall", "Bowl", "Laptop", "Mug",
                           "SprayBottle", "Vase"})  # fmt: skip

# The largest asset of a type that is used, m: (longer side, shorter side) of the footprint.
LARGEST_FOOTPRINT: dict[str, tuple[float, float]] = {
    "CounterTop": (2.2, 0.9),
    "DiningTable": (1.7, 1.1),
    "Desk": (1.7, 0.9),
    "Dresser": (1.8, 0.7),
    "Sofa": (2.5, 1.1),
    "CoffeeTable": (1.3, 0.9),
    "SideTable": (0.8, 0.6),
    "ShelvingUnit": (1.3, 0.5),
}
LARGEST_HEIGHT: dict[str, float] = {"Desk": 1.0, "Bed": 1.6}

HIGHEST_TOP = 1.25  # m; a robot's camera does not see what lies higher

# Names of real assets and materials, so that a house also loads in AI2-THOR. The narrowest door is
# first.
DOOR_ASSETS = ("Doorway_9", "Doorway_2", "Doorway_5", "Doorway_10", "Doorway_4", "Doorway_Double_6")
FRAME_ASSETS = ("Doorframe_9", "Doorframe_2", "Doorframe_3", "Doorframe_10", "Doorframe_Double_7")
WINDOW_ASSETS = ("Window_Slider_36x36", "Window_Slider_48x24", "Window_Slider_48x36",
                 "Window_Slider_60x36", "Window_Fixed_60x36")  # fmt: skip
FLOOR_MATERIALS = ("LightWoodCounters4", "DarkWoodPlanks", "GreyFloor", "MediumWoodSmooth",
                   "Cream_wood", "OrangeWood", "WoodGrain_Tan", "WoodGrain_Brown",
                   "DarkWoodSmooth2", "KitchenTiles3")  # fmt: skip
WALL_MATERIALS = ("PureWhite", "DrywallBeige", "YellowDrywall", "DrywallGreen", "Walldrywall4Tiled",
                  "bathroomTilesGrey", "YellowPlaster", "WallDrywallWhite3")  # fmt: skip
EXTERIOR_MATERIALS = ("RedBrick", "EggshellDrywall 3", "ConcreteFloorSmooth 1")
SKYBOXES = ("SkySunset", "SkySFGarden", "SkyTreeFarm", "SkyAlbany", "Sky1", "SkyOakland")
