"""WordNet synsets of object types: what the published task specs name their targets by."""

import re

from flare.tasks.instructions import words_of_type

# Types whose synset is not simply the first sense of their own name.
_SYNSETS = {
    "BasketBall": "basketball.n.02",
    "Bowl": "bowl.n.03",
    "CD": "compact_disk.n.01",
    "CellPhone": "cellular_telephone.n.01",
    "CoffeeMachine": "coffee_maker.n.01",
    "CounterTop": "countertop.n.01",
    "DishSponge": "sponge.n.01",
    "Dresser": "chest_of_drawers.n.01",
    "Fridge": "electric_refrigerator.n.01",
    "GarbageCan": "ashcan.n.01",
    "HousePlant": "houseplant.n.01",
    "LaundryHamper": "clothes_hamper.n.01",
    "Microwave": "microwave.n.02",
    "Mug": "mug.n.04",
    "Ottoman": "ottoman.n.03",
    "Plate": "plate.n.04",
    "Plunger": "plunger.n.03",
    "SideTable": "stand.n.04",
    "SprayBottle": "atomizer.n.01",
    "Television": "television_receiver.n.01",
    "Toaster": "toaster.n.02",
    "Toilet": "toilet.n.02",
}
_WORDS = {synset: words_of_type(name) for name, synset in _SYNSETS.items()}


def synset_of(object_type: str) -> str:
    """'AlarmClock' -> 'alarm_clock.n.01'."""
    own = words_of_type(object_type).replace(" ", "_") + ".n.01"
    return _SYNSETS.get(object_type, own)


def words_of_synset(synset: str) -> str:
    """'alarm_clock.n.01' -> 'alarm clock'; of known types the words that instructions use."""
    lemma = re.sub(r"\.[a-z]\.\d+$", "", synset)
    return _WORDS.get(synset, lemma.replace("_", " ").lower())
