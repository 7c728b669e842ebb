"""Data about object kinds that ships with the package: box sizes, proxy shapes and colours."""

from importlib import resources


def library_json() -> str:
    """Text of the asset library, the input of ``flare._core.AssetLibrary.from_json``."""
    return resources.files(__package__).joinpath("library.json").read_text(encoding="utf-8")


def materials_json() -> str:
    """Text of the table of AI2-THOR's material names, wall colours and skyboxes."""
    return resources.files(__package__).joinpath("materials.json").read_text(encoding="utf-8")
