"""``flare import`` and ``flare export`` on files of both layouts, and what follows an import."""

import json
from dataclasses import replace

import pytest
import torch

from flare import cli
from flare.agent import load_agent
from flare.checkpoint import load_checkpoint
from flare.houses.files import write_houses
from flare.houses.generator import GeneratorConfig, generate_houses
from flare.policy.observation import Observation
from flare.specs import ACTION_NAMES
from flare.tasks.registry import TASKS
from tests.importing.original_files import (
    FIRST_RELEASE,
    LAYOUTS,
    ONE_TOWER,
    PIECES,
    TWO_TOWER,
    original_weights,
    write_original,
)
from tests.worlds.two_rooms import two_rooms

GPU = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")]
WALKS = ("move_ahead", "rotate_right", "rotate_left", "rotate_left_small")  # all the actor may do


@pytest.fixture
def tokenizer(tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps({"model": {"type": "Unigram", "unk_id": 2, "vocab": PIECES}}))
    return path


def run(*words):
    return cli.main([str(word) for word in words])


@pytest.fixture(params=LAYOUTS)
def imported(request, tmp_path, tokenizer):
    """An original file, the weights in it, and the run folder it was imported into."""
    config, layout = LAYOUTS[request.param]
    weights = original_weights(config, layout)
    file = write_original(tmp_path / "original.ckpt", weights, layout)
    out = tmp_path / "run"
    code = run("import", file, "--out", out, "--image-encoder", "random", "--tokenizer", tokenizer)
    assert code == 0
    return layout, weights, out


def test_export_gives_the_file_back(imported, tmp_path):
    layout, weights, out = imported
    assert run("export", out, "--layout", layout, "--out", tmp_path / "back.pt") == 0
    back = torch.load(tmp_path / "back.pt", weights_only=True)
    got = back["model_state_dict"] if layout == "rl" else back["state_dict"]
    prefix = "" if layout == "rl" else "model."
    assert list(got) == [prefix + name for name in weights]
    assert all(torch.equal(got[prefix + name], tensor) for name, tensor in weights.items())
    steps = back["total_steps"] if layout == "rl" else back["global_step"]
    assert steps == {"rl": 21_026_752, "il": 50_000}[layout]


def test_the_folder_is_one_of_ours(imported):
    _, _, out = imported
    agent, policy, checkpoint = load_agent(out)
    assert checkpoint.stage == "import"
    card = (out / "latest" / "card.md").read_text()
    assert f"`flare finetune --checkpoint {out}`" in card
    assert agent.action_names[0] == "move_ahead" and agent.network.num_actions == 20
    assert agent.network.compat.central_crop and not agent.network.compat.shared_counter
    words = agent.vocabulary(checkpoint.processors)
    assert words.encode(["find a  mugs"])[0, :6].tolist() == [4, 5, 7, 6, 1, 0]
    obs = Observation(
        features=torch.randn(2, policy.num_features),
        tokens=torch.from_numpy(words.encode(["find a mug", "find a mugs"])),
        prev_action=torch.tensor([20, 20]),
        in_hand=torch.tensor([0, 1]),
        time_step=torch.tensor([0, 0]),
        facts=torch.zeros(2, 1),
    )
    out = policy.act(obs, policy.new_cache(2, 4), None)
    assert torch.isfinite(out.logits).all() and torch.isfinite(out.value).all()


def test_imitation_fills_both_towers(tmp_path):
    file = write_original(tmp_path / "il.ckpt", original_weights(ONE_TOWER, "il"), "il")
    assert run("import", file, "--out", tmp_path / "run") == 0
    model = load_checkpoint(tmp_path / "run").model
    towers = [name for name in model if name.startswith("actor_tower.")]
    for name in towers:
        assert torch.equal(model[name], model[name.replace("actor_tower", "critic_tower")])
    assert torch.equal(model["spare.actor_head.weight"], model["actor_head.weight"])


def test_the_first_release_has_no_reinforcement_layout(tmp_path, capsys):
    file = write_original(tmp_path / "il.ckpt", original_weights(FIRST_RELEASE, "il"), "il")
    assert run("import", file, "--out", tmp_path / "run") == 0
    assert load_agent(tmp_path / "run")[0].network.decoder == "cross"
    assert run("export", tmp_path / "run", "--out", tmp_path / "rl.pt") == 2
    assert "network.decoder: is 'cross'" in capsys.readouterr().err


@pytest.mark.parametrize("critic", ["shared", "facts"])
def test_imitation_with_another_critic(tmp_path, critic):
    file = write_original(tmp_path / "il.ckpt", original_weights(ONE_TOWER, "il"), "il")
    assert run("import", file, "--out", tmp_path / "run", "--critic", critic) == 0
    agent, policy, _ = load_agent(tmp_path / "run")
    assert agent.network.critic == critic and policy.critic_tower is None


def test_two_text_encoders_that_differ_are_both_kept(tmp_path):
    weights = original_weights(TWO_TOWER, "rl")
    for name in ("shared", "encoder.embed_tokens"):
        key = f"critic_tsfm.visual_encoder.text_encoder.{name}.weight"
        weights[key] = weights[key] + 1.0
    file = write_original(tmp_path / "rl.pt", weights, "rl")
    assert run("import", file, "--out", tmp_path / "run", "--image-encoder", "random") == 0
    assert load_agent(tmp_path / "run")[0].network.critic_text == "own"
    assert run("export", tmp_path / "run", "--out", tmp_path / "back.pt") == 0
    back = torch.load(tmp_path / "back.pt", weights_only=True)["model_state_dict"]
    assert all(torch.equal(back[name], tensor) for name, tensor in weights.items())


def test_the_image_encoder_comes_from_the_imitation_file(tmp_path):
    il = original_weights(ONE_TOWER, "il")
    il_file = write_original(tmp_path / "il.ckpt", il, "il")
    rl_file = write_original(tmp_path / "rl.pt", original_weights(ONE_TOWER, "rl"), "rl")
    assert run("import", rl_file, "--out", tmp_path / "run", "--image-encoder", il_file) == 0
    model = load_checkpoint(tmp_path / "run").model
    key = "visual_encoder.image_encoder.model.blocks.3.mlp.fc1.weight"
    assert torch.equal(model["image_encoder.vit.blocks.3.w_in.weight"], il[key])


class _Evil:
    def __reduce__(self):
        return (print, ("code ran",))


def _write(tmp_path, content):
    torch.save(content, tmp_path / "file.pt")
    return tmp_path / "file.pt"


BAD = {
    "code": (lambda: {"model_state_dict": {}, "x": _Evil()}, "holds more than tensors"),
    "a list": (lambda: [1, 2], "holds a list instead of a dict"),
    "other keys": (lambda: {"weights": {}}, "neither state_dict nor model_state_dict"),
    "empty": (lambda: {"model_state_dict": {}}, "text_encoder.shared.weight: is missing"),
}


@pytest.mark.parametrize("case", BAD)
def test_files_that_are_refused(tmp_path, capsys, case):
    content, message = BAD[case]
    assert run("import", _write(tmp_path, content()), "--out", tmp_path / "run") == 2
    captured = capsys.readouterr()
    assert message in captured.err and captured.err.count("\n") == 1
    assert "code ran" not in captured.out


def test_more_mistakes(tmp_path, capsys):
    rl = write_original(tmp_path / "rl.pt", original_weights(ONE_TOWER, "rl"), "rl")
    weights = original_weights(ONE_TOWER, "rl")
    del weights["actor.linear.bias"]
    cut = write_original(tmp_path / "cut.pt", weights, "rl")
    garbage = tmp_path / "garbage.pt"
    garbage.write_bytes(b"<html>404</html>")
    for words, message in (
        ((tmp_path / "absent.pt",), "no such file"),
        ((garbage,), "garbage.pt: "),
        ((rl,), "image_encoder: is missing"),
        ((rl, "--critic", "tower", "--image-encoder", "random"), "critic: is 'tower'"),
        ((cut,), "1 missing: actor.linear.bias"),
        ((), "needs one of the two"),
        (("--preset", "small_9"), "preset: is 'small_9'"),
    ):
        assert run("import", *words) == 2
        assert message in capsys.readouterr().err


@pytest.fixture
def ready(tmp_path, tokenizer):
    """An imported run with a tokenizer, and a house file."""
    houses = tmp_path / "houses.jsonl.gz"
    write_houses(houses, [json.loads(two_rooms())])
    shallow = replace(ONE_TOWER, image=replace(ONE_TOWER.image, depth=1))  # quick to run
    weights = original_weights(shallow, "il")
    weights["actor.bias"][[i for i, n in enumerate(ACTION_NAMES) if n not in WALKS]] = -1e6
    file = write_original(tmp_path / "il.ckpt", weights, "il")
    assert run("import", file, "--out", tmp_path / "run", "--tokenizer", tokenizer) == 0
    return tmp_path / "run", houses


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=GPU)])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_an_imported_checkpoint_is_evaluated_on_every_task(ready, device, precision, tmp_path):
    folder, _ = ready
    houses = tmp_path / "generated.jsonl.gz"
    generate_houses(houses, count=2, split="val", seed=1, config=GeneratorConfig())
    code = run(
        "eval", folder, "--houses", houses, "--num-episodes", 40, "--world.num-envs", 4,
        "--task.max-steps", 2, "--device", device, "--precision", precision,
        "--task.names", *TASKS,
    )  # fmt: skip
    assert code == 0
    lines = (folder / "eval" / "eval.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    assert [r["episode"] for r in records] == list(range(40))
    assert {r["task"] for r in records} == set(TASKS)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_an_imported_checkpoint_is_fine_tuned(ready, precision, tmp_path):
    folder, houses = ready
    code = run(
        "finetune", "--checkpoint", folder, "--houses", houses, "--runs", tmp_path, "--name", "rl",
        "--total-steps", 8, "--world.num-envs", 2, "--collector.num-steps", 4,
        "--ppo.critic-warmup-steps", 0, "--ppo.num-epochs", 1, "--collector.augment",
        "--precision", precision,
    )  # fmt: skip
    assert code == 0
    record = json.loads((tmp_path / "rl" / "metrics.jsonl").read_text().splitlines()[-1])
    # These random weights are nearly certain of every action (0.1 nats and less): the digits that
    # bfloat16 drops then move the improbable ones' probabilities by tenths.
    assert record["first_epoch_ratio_max_error"] < (1e-4 if precision == "float32" else 1.0)
    before, after = load_checkpoint(folder), load_checkpoint(tmp_path / "rl")
    assert after.processors == before.processors
    frozen = [
        n for n in before.model if n.startswith(("image_encoder.", "instructions.", "spare."))
    ]
    assert all(torch.equal(before.model[name], after.model[name]) for name in frozen)
    moved = "actor_tower.fusion.layers.0.qkv.weight"
    assert not torch.equal(before.model[moved], after.model[moved])


def test_a_checkpoint_without_tokenizer_says_what_to_do(ready, tmp_path, capsys):
    _, houses = ready
    assert run("import", tmp_path / "il.ckpt", "--out", tmp_path / "bare") == 0
    assert "no tokenizer" in capsys.readouterr().out
    assert run("eval", tmp_path / "bare", "--houses", houses, "--num-episodes", 1) == 2
    assert "processors/tokenizer.json: is missing" in capsys.readouterr().err
