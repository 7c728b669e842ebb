"""How each object type looks: the hand-made half of the asset library.

A policy sees 84×48 pixels, so kinds must differ in shape family and hue at once. The 15 goal
types of the object-navigation benchmark are vivid and far from each other; furniture and the rest
are muted. ``flare.assets.build_library`` joins this table with the measured box sizes.
"""

from typing import NamedTuple


class Look(NamedTuple):
    """Shape family (a name of C++ ``sim::Shape`` without the k) and sRGB colour of a type."""

    shape: str
    rgb: tuple[float, float, float] | None = None  # None: hue from a hash of the name


GOAL_TYPES = (
    "AlarmClock", "Apple", "BasketBall", "Bed", "Bowl", "Chair", "GarbageCan", "HousePlant",
    "Laptop", "Mug", "Sofa", "SprayBottle", "Television", "Toilet", "Vase",
)  # fmt: skip

LOOKS: dict[str, Look] = {
    # Goals: a hue each, about evenly round the circle, shapes differing between neighbours.
    "AlarmClock": Look("box", (0.95, 0.15, 0.75)),
    "Apple": Look("sphere", (0.90, 0.06, 0.08)),
    "BasketBall": Look("sphere", (1.00, 0.50, 0.05)),
    "Bed": Look("bed", (0.35, 0.45, 0.95)),
    "Bowl": Look("bowl", (0.10, 0.85, 0.85)),
    "Chair": Look("chair", (0.62, 0.40, 0.10)),
    "GarbageCan": Look("cylinder", (0.20, 0.24, 0.22)),
    "HousePlant": Look("plant", (0.12, 0.62, 0.16)),
    "Laptop": Look("screen", (0.72, 0.95, 0.15)),
    "Mug": Look("cylinder", (0.98, 0.88, 0.10)),
    "Sofa": Look("sofa", (0.55, 0.12, 0.50)),
    "SprayBottle": Look("bottle", (0.10, 0.35, 1.00)),
    "Television": Look("screen", (0.05, 0.05, 0.08)),
    "Toilet": Look("toilet", (0.97, 0.97, 0.99)),
    "Vase": Look("cone", (0.45, 0.10, 0.95)),
    # Furniture.
    "ArmChair": Look("sofa", (0.34, 0.60, 0.38)),
    "Cart": Look("shelf", (0.55, 0.55, 0.58)),
    "ClothesDryer": Look("box", (0.72, 0.74, 0.76)),
    "CoffeeTable": Look("table", (0.50, 0.38, 0.28)),
    "CounterTop": Look("box", (0.60, 0.58, 0.54)),
    "Desk": Look("table", (0.55, 0.44, 0.33)),
    "DiningTable": Look("table", (0.48, 0.35, 0.24)),
    "DogBed": Look("bowl", (0.50, 0.44, 0.40)),
    "Dresser": Look("box", (0.46, 0.36, 0.28)),
    "FloorLamp": Look("lamp", (0.78, 0.72, 0.56)),
    "Footstool": Look("box", (0.50, 0.45, 0.42)),
    "Fridge": Look("box", (0.78, 0.80, 0.82)),
    "LaundryHamper": Look("cylinder", (0.66, 0.62, 0.54)),
    "Ottoman": Look("cylinder", (0.52, 0.46, 0.42)),
    "Safe": Look("box", (0.36, 0.38, 0.40)),
    "ShelvingUnit": Look("shelf", (0.50, 0.42, 0.34)),
    "SideTable": Look("table", (0.54, 0.42, 0.32)),
    "Sink": Look("table", (0.84, 0.85, 0.86)),
    "Stool": Look("table", (0.58, 0.46, 0.34)),
    "TVStand": Look("shelf", (0.36, 0.34, 0.54)),
    "VacuumCleaner": Look("lamp", (0.45, 0.46, 0.50)),
    "WashingMachine": Look("box", (0.74, 0.76, 0.78)),
    # Small things.
    "BaseballBat": Look("cylinder", (0.62, 0.50, 0.36)),
    "Book": Look("box", (0.50, 0.34, 0.34)),
    "Boots": Look("box", (0.34, 0.28, 0.24)),
    "Bottle": Look("bottle", (0.44, 0.56, 0.48)),
    "Box": Look("box", (0.66, 0.54, 0.38)),
    "Bread": Look("box", (0.70, 0.54, 0.32)),
    "Candle": Look("cylinder", (0.86, 0.74, 0.46)),
    "CD": Look("panel", (0.70, 0.72, 0.76)),
    "CellPhone": Look("box", (0.24, 0.25, 0.28)),
    "Cloth": Look("panel", (0.62, 0.66, 0.70)),
    "CoffeeMachine": Look("box", (0.30, 0.30, 0.32)),
    "CreditCard": Look("panel", (0.45, 0.50, 0.58)),
    "Cup": Look("cylinder", (0.62, 0.66, 0.70)),
    "Desktop": Look("box"),
    "DeskLamp": Look("lamp", (0.70, 0.66, 0.54)),
    "DishSponge": Look("box", (0.72, 0.68, 0.42)),
    "Egg": Look("sphere", (0.82, 0.76, 0.66)),
    "Faucet": Look("bottle", (0.70, 0.72, 0.74)),
    "GarbageBag": Look("sphere", (0.22, 0.22, 0.24)),
    "Kettle": Look("bottle", (0.60, 0.60, 0.62)),
    "Lettuce": Look("sphere", (0.48, 0.60, 0.38)),
    "Microwave": Look("box", (0.42, 0.43, 0.45)),
    "Newspaper": Look("box", (0.72, 0.71, 0.68)),
    "Painting": Look("panel", (0.56, 0.50, 0.52)),
    "Pan": Look("bowl", (0.30, 0.30, 0.32)),
    "PaperTowelRoll": Look("cylinder", (0.70, 0.86, 0.66)),
    "PepperShaker": Look("bottle", (0.36, 0.34, 0.34)),
    "Pillow": Look("box", (0.66, 0.62, 0.66)),
    "Plate": Look("bowl", (0.80, 0.80, 0.78)),
    "Plunger": Look("lamp", (0.52, 0.34, 0.30)),
    "Pot": Look("bowl", (0.48, 0.48, 0.50)),
    "Potato": Look("sphere", (0.60, 0.50, 0.36)),
    "SaltShaker": Look("bottle", (0.58, 0.70, 0.84)),
    "SoapBottle": Look("bottle", (0.60, 0.70, 0.66)),
    "Statue": Look("plant", (0.58, 0.56, 0.52)),
    "TableTopDecor": Look("box"),
    "TeddyBear": Look("sphere", (0.54, 0.42, 0.32)),
    "TennisRacket": Look("panel", (0.56, 0.54, 0.40)),
    "TissueBox": Look("box", (0.88, 0.62, 0.70)),
    "Toaster": Look("box", (0.66, 0.66, 0.68)),
    "ToiletPaper": Look("cylinder", (0.90, 0.90, 0.90)),
    "Tomato": Look("sphere", (0.72, 0.34, 0.26)),
    "Watch": Look("cylinder", (0.30, 0.34, 0.48)),
    "WineBottle": Look("bottle", (0.28, 0.34, 0.28)),
    # On walls and in them.
    "Mirror": Look("panel", (0.76, 0.80, 0.84)),
    "Window": Look("panel", (0.70, 0.80, 0.88)),
}

ON_WALL = frozenset({
    "Painting", "Mirror", "Window", "Blinds", "LightSwitch", "TowelHolder", "HandTowelHolder",
    "ToiletPaperHanger", "ShowerHead", "Poster", "Picture", "Frame", "WallClock", "Artwork",
    "Photo", "Photograph", "BulletinBoard", "Corkboard", "Chalkboard", "Canvas", "Sign",
    "StreetSign", "BrassPlaque", "Map", "Calendar", "Clock",
    "LicensePlate",
})  # fmt: skip

# What data sets call a known type by another name.
SYNONYMS: dict[str, str] = {
    "Armchair": "ArmChair", "Ashcan": "GarbageCan", "Basketball": "BasketBall",
    "Cellphone": "CellPhone", "CellularTelephone": "CellPhone", "Couch": "Sofa",
    "Countertop": "CounterTop", "KitchenTable": "DiningTable", "LaptopComputer": "Laptop",
    "Loveseat": "Sofa", "MicrowaveOven": "Microwave", "OfficeChair": "Chair",
    "FoldingChair": "Chair", "ComputerChair": "Chair", "Chairs": "Chair", "Pillows": "Pillow",
    "PottedPlant": "HousePlant", "Plant": "HousePlant", "Refrigerator": "Fridge",
    "SectionalSofa": "Sofa", "ThrowPillow": "Pillow", "ToiletTissue": "ToiletPaper",
    "Commode": "Toilet", "TrashCan": "GarbageCan", "Tv": "Television", "50InchTv": "Television",
    "TvStand": "TVStand", "AutomaticWasher": "WashingMachine", "CoffeeCup": "Mug",
    "BeerMug": "Mug", "PhotoFrame": "Frame", "WallShelf": "Shelf", "ShelvingUnits": "ShelvingUnit",
    "CardboardBox": "Box", "Books": "Book", "HardbackBook": "Book", "TableLamp": "DeskLamp",
}  # fmt: skip

# Shape of a type that has no entry above: the first word found in its name.
SHAPE_WORDS: tuple[tuple[str, str], ...] = (
    ("Bookshelf", "shelf"), ("Bookcase", "shelf"), ("Shelf", "shelf"), ("Shelves", "shelf"),
    ("Shelving", "shelf"), ("Rack", "shelf"), ("Cart", "shelf"), ("Wagon", "shelf"),
    ("Table", "table"), ("Desk", "table"), ("Stool", "table"), ("Bench", "table"),
    ("Chair", "chair"), ("Recliner", "sofa"), ("Couch", "sofa"), ("Futon", "sofa"),
    ("Bed", "bed"), ("Crib", "bed"), ("Mattress", "bed"),
    ("Plant", "plant"), ("Flower", "plant"), ("Cactus", "plant"), ("Statue", "plant"),
    ("Sculpture", "plant"), ("Bust", "plant"), ("Lamp", "lamp"), ("Light", "lamp"),
    ("Umbrella", "lamp"), ("Tripod", "lamp"), ("Coatrack", "lamp"), ("Fan", "lamp"),
    ("Bottle", "bottle"), ("Perfume", "bottle"), ("Lotion", "bottle"), ("Spray", "bottle"),
    ("Jug", "bottle"), ("Pitcher", "bottle"), ("Urn", "bottle"), ("Wine", "bottle"),
    ("Basketball", "sphere"), ("Baseball", "sphere"), ("Ball", "sphere"), ("Football", "sphere"),
    ("Fruit", "sphere"), ("Melon", "sphere"), ("Orange", "sphere"), ("Lemon", "sphere"),
    ("Peach", "sphere"), ("Tomato", "sphere"), ("Helmet", "sphere"), ("Rock", "sphere"),
    ("Bowl", "bowl"), ("Plate", "bowl"), ("Dish", "bowl"), ("Pan", "bowl"), ("Basket", "bowl"),
    ("Hat", "bowl"), ("Cap", "bowl"), ("Bathtub", "bowl"), ("Ashtray", "bowl"),
    ("Bucket", "cylinder"), ("Can", "cylinder"), ("Cup", "cylinder"), ("Barrel", "cylinder"),
    ("Jar", "cylinder"), ("Candle", "cylinder"), ("Drum", "cylinder"), ("Pot", "cylinder"),
    ("Canister", "cylinder"), ("Cannister", "cylinder"), ("Extinguisher", "cylinder"),
    ("Hamper", "cylinder"), ("Wheel", "cylinder"), ("Tires", "cylinder"),
    ("Painting", "panel"), ("Poster", "panel"), ("Picture", "panel"), ("Photo", "panel"),
    ("Frame", "panel"), ("Card", "panel"), ("Paper", "panel"), ("Envelope", "panel"),
    ("Map", "panel"), ("Sticker", "panel"), ("Label", "panel"), ("Tag", "panel"),
    ("Board", "panel"), ("Mirror", "panel"), ("Magazine", "panel"), ("Mousepad", "panel"),
    ("Disc", "panel"), ("Disk", "panel"), ("Record", "panel"), ("Canvas", "panel"),
    ("Sign", "panel"), ("Plaque", "panel"), ("Calendar", "panel"), ("Artwork", "panel"),
    ("Display", "screen"), ("Tablet", "screen"), ("Webcam", "screen"), ("Monitor", "screen"),
    ("Cone", "cone"), ("IceCream", "cone"), ("Icecream", "cone"), ("Horn", "cone"),
)  # fmt: skip

# Footprint of a family for a body of height 1 m, (x, z): only for types never measured.
FOOTPRINT: dict[str, tuple[float, float]] = {
    "box": (0.8, 0.6), "cylinder": (0.8, 0.8), "sphere": (1.0, 1.0), "cone": (0.8, 0.8),
    "table": (1.4, 0.8), "chair": (0.6, 0.6), "bed": (1.8, 2.2), "sofa": (2.0, 1.0),
    "shelf": (0.7, 0.35), "plant": (0.6, 0.6), "toilet": (0.6, 0.9), "screen": (1.2, 0.3),
    "lamp": (0.3, 0.3), "bowl": (1.6, 1.6), "bottle": (0.4, 0.4), "panel": (0.9, 0.05),
}  # fmt: skip
