"""Every key of the original has one place, in the original's order."""

import json

import pytest
import torch

from flare.errors import UserError
from flare.importing.layout import entries
from flare.importing.weights import export_weights, import_weights
from flare.policy.policy import Policy
from flare.policy.spoc.config import PRESETS, SpocConfig
from tests.importing.original_files import LAYOUTS, ONE_TOWER, original_weights

CONFIGS = {
    "rl_separate": (SpocConfig(critic="tower"), "rl"),
    "rl_shared": (SpocConfig(critic="shared"), "rl"),
    "il_small_3": (SpocConfig(critic="shared"), "il"),
    "il_small_3_spoc_release": (SpocConfig(critic="shared", decoder="cross"), "il"),
}


@pytest.fixture(scope="module")
def manifest(shared_dir):
    models = json.loads((shared_dir / "golden" / "manifest.json").read_text())["models"]
    return {
        name: [(e["name"], tuple(e["shape"]), e["kind"]) for e in model["entries"]]
        for name, model in models.items()
    }


@pytest.mark.parametrize("model", list(CONFIGS))
def test_names_shapes_and_order_are_the_manifests(manifest, model):
    placed = [(p.theirs, p.shape) for p in entries(*CONFIGS[model])]
    assert placed == [(name, shape) for name, shape, _ in manifest[model]]


@pytest.mark.parametrize("model", list(CONFIGS))
def test_aliases_and_buffers_are_the_manifests(manifest, model):
    placed = {p.theirs: p for p in entries(*CONFIGS[model])}
    for name, _, kind in manifest[model]:
        assert (placed[name].ours is None) == (kind == "buffer")
        if kind.startswith("alias of "):
            assert placed[name].ours == placed[kind.removeprefix("alias of ")].ours


@pytest.mark.parametrize("head", ["mlp", "discrete"])
def test_other_critics_are_the_manifests(manifest, head):
    placed = entries(SpocConfig(critic="shared", critic_head=head), "rl")
    critic = [(p.theirs, p.shape) for p in placed if p.theirs.startswith("critic.")]
    wanted = [(name, shape) for name, shape, _ in manifest[f"rl_shared_critic_{head}"]]
    assert critic == [entry for entry in wanted if entry[0].startswith("critic.")]


def test_imitation_fills_the_keys_that_the_original_fills(shared_dir):
    """The original's own map from imitation to reinforcement keys, through our names."""
    file = shared_dir / "golden" / "il_to_rl_mapping.json"
    config = SpocConfig(critic="tower")
    of_il = {p.theirs: (p.ours, p.part) for p in entries(config, "il")}
    mapping = json.loads(file.read_text())["rl_separate"]
    second = {"critic_tower.": "actor_tower.", "spare.actor_head.": "actor_head."}
    for place in entries(config, "rl"):
        if place.theirs in mapping["rl_constant_buffers"]:
            assert place.ours is None
            continue
        name = place.ours
        for ours, source in second.items():
            if name.startswith(ours):
                name = source + name.removeprefix(ours)
        if place.theirs in mapping["rl_keys_left_at_init"]:
            assert (name, place.part) not in of_il.values()
        else:
            il_key = mapping["rl_key_from_il_key"][place.theirs].removeprefix("model.")
            assert of_il[il_key] == (name, place.part)


@pytest.mark.parametrize("preset", [name for name in PRESETS if "siglip" not in name])
@pytest.mark.parametrize("layout", ["il", "rl"])
def test_every_preset_has_a_place_for_each_of_its_weights(preset, layout):
    config = PRESETS[preset]()
    with torch.device("meta"):
        own = {name: tuple(t.shape) for name, t in Policy(config).state_dict().items()}
    placed = {p.ours for p in entries(config, layout) if p.ours is not None}
    assert placed <= own.keys()
    rest = {name.split(".")[0] for name in own.keys() - placed}
    of_rl_only = {"critic_tower", "critic_head", "spare"}
    assert rest == ({"image_encoder"} if layout == "rl" else of_rl_only)


@pytest.mark.parametrize(("config", "layout"), LAYOUTS.values(), ids=LAYOUTS.keys())
def test_out_and_in_again_changes_nothing(config, layout):
    theirs = original_weights(config, layout)
    ours = import_weights(theirs, entries(config, layout), width=config.width)
    back = export_weights(ours, entries(config, layout), width=config.width)
    assert list(back) == list(theirs)
    assert all(torch.equal(back[name], theirs[name]) for name in theirs)


def test_all_wrong_keys_are_one_error():
    theirs = original_weights(ONE_TOWER, "rl")
    del theirs["actor.linear.bias"], theirs["decoder.norm.weight"]
    theirs["critic.fc.weight"] = torch.zeros(2, 32)
    theirs["head.extra"] = torch.zeros(1)
    with pytest.raises(UserError) as caught:
        import_weights(theirs, entries(ONE_TOWER, "rl"), width=32)
    message = str(caught.value)
    for part in (
        "2 missing: decoder.norm.weight, actor.linear.bias",
        "1 surplus: head.extra",
        "1 misshapen: critic.fc.weight is [2, 32] instead of [1, 32]",
    ):
        assert part in message


def test_copies_that_differ_are_refused():
    theirs = original_weights(ONE_TOWER, "rl")
    key = "visual_encoder.text_encoder.encoder.embed_tokens.weight"
    theirs[key] = theirs[key] + 1.0
    with pytest.raises(UserError, match=r"embed_tokens.weight: differs from the other copy"):
        import_weights(theirs, entries(ONE_TOWER, "rl"), width=32)


def test_another_time_encoding_is_refused():
    theirs = original_weights(ONE_TOWER, "rl")
    theirs["time_encoder.div_term"] = torch.ones(16)
    with pytest.raises(UserError, match=r"div_term: is not exp"):
        import_weights(theirs, entries(ONE_TOWER, "rl"), width=32)
