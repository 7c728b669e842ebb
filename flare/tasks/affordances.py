"""What object types are good for: the table behind ObjNavAffordance.

Written from common sense, not measured. A type stands under an affordance when an ordinary member
of the kind serves the purpose well; a type may stand under several. The noun is the kind of answer
that the sentence asks for, so that it does not name the type itself.
"""

from typing import NamedTuple


class Affordance(NamedTuple):
    """One purpose: "a seat that can best be used for sitting on"."""

    purpose: str  # follows "used for"
    noun: str
    types: tuple[str, ...]


AFFORDANCES = (
    Affordance("sitting on", "seat", (
        "ArmChair", "BarStool", "Beanbag", "Bench", "Chair", "ChaiseLongue", "DeckChair",
        "GamingChair", "LawnChair", "Recliner", "RockingChair", "Sofa", "Stool")),
    Affordance("sleeping on", "piece of furniture", ("Bed", "Crib", "Futon", "Mattress")),
    Affordance("eating at", "piece of furniture", ("DiningTable", "Table")),
    Affordance("working at", "piece of furniture", ("Desk",)),
    Affordance("storing clothes", "piece of furniture", (
        "Chest", "Closet", "Dresser", "Wardrobe")),
    Affordance("storing food", "appliance", ("Fridge",)),
    Affordance("heating food", "appliance", ("Microwave", "ToasterOven")),
    Affordance("making coffee", "appliance", ("CoffeeMachine", "CoffeeMaker")),
    Affordance("washing clothes", "appliance", ("WashingMachine",)),
    Affordance("washing hands", "fixture", ("Sink",)),
    Affordance("taking a bath", "fixture", ("Bathtub",)),
    Affordance("throwing away trash", "container", ("GarbageCan",)),
    Affordance("drinking from", "container", ("Cup", "Mug", "Teacup", "Wineglass")),
    Affordance("serving soup", "container", ("Bowl",)),
    Affordance("holding flowers", "container", ("Flowerpot", "Vase")),
    Affordance("cooking", "utensil", ("FryingPan", "Pan", "PanForCooking", "Pot", "Saucepan")),
    Affordance("cutting food", "utensil", ("ButterKnife", "Knife", "SteakKnife")),
    Affordance("boiling water", "utensil", ("Kettle", "Teakettle")),
    Affordance("cleaning windows", "object", ("SprayBottle",)),
    Affordance("cleaning floors", "appliance", ("VacuumCleaner",)),
    Affordance("waking up on time", "device", ("AlarmClock", "ClockRadio")),
    Affordance("writing emails", "device", ("Laptop",)),
    Affordance("watching movies", "device", ("Television",)),
    Affordance("calling a friend", "device", ("CellPhone", "Phone", "Telephone")),
    Affordance("lighting a room", "object", ("DeskLamp", "FloorLamp", "Lamp")),
    Affordance("writing notes", "object", ("Pen", "Pencil")),
    Affordance("reading", "object", ("Book", "Magazine", "Newspaper")),
    Affordance("playing sports", "object", (
        "BaseballBat", "BasketBall", "Football", "SoccerBall", "TennisRacket", "Volleyball")),
    Affordance("resting your head on", "object", ("Cushion", "Pillow")),
    Affordance("exercising", "object", ("Dumbbell", "Treadmill")),
    Affordance("eating as a snack", "piece of food", ("Apple", "Banana", "Peach", "Pear")),
)  # fmt: skip
