import json
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import pytest

from flare import __version__, cli
from flare.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Inner:
    rate: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.rate <= 1:
            raise UserError(f"{self.rate} is not in [0, 1]", mend="choose one there", key="rate")


@dataclass(frozen=True, kw_only=True)
class ToyConfig:
    num_envs: int = 4
    resume: Path | None = None
    inner: Inner = field(default_factory=Inner)


@pytest.fixture
def toy(monkeypatch):
    """A command ``toy`` whose function can be set and whose configs are kept."""
    module = ModuleType("flare_toy")
    module.ToyConfig = ToyConfig
    module.seen = []
    module.run_toy = module.seen.append
    monkeypatch.setitem(sys.modules, "flare_toy", module)
    command = cli.Command("toy", "flare_toy", "ToyConfig", "run_toy", "play", is_resumable=True)
    monkeypatch.setattr(cli, "COMMANDS", (*cli.COMMANDS, command))
    return module


def test_flags_become_the_config(toy):
    assert cli.main(["toy", "--num-envs", "8", "--inner.rate", "0.25", "--resume", "runs/a"]) == 0
    assert toy.seen == [ToyConfig(num_envs=8, inner=Inner(rate=0.25), resume=Path("runs/a"))]


def test_config_file_gives_the_defaults_and_flags_win(toy, tmp_path, capsys):
    assert cli.main(["config", "toy", "--num-envs", "16", "--inner.rate", "1"]) == 0
    printed = capsys.readouterr().out
    assert json.loads(printed) == {"num_envs": 16, "resume": None, "inner": {"rate": 1.0}}
    path = tmp_path / "toy.json"
    path.write_text(printed)
    assert cli.main(["toy", f"--config={path}"]) == 0
    assert cli.main(["toy", "--config", str(path), "--num-envs", "2"]) == 0
    assert [(each.num_envs, each.inner.rate) for each in toy.seen] == [(16, 1.0), (2, 1.0)]


def test_mistake_in_a_config_file_is_one_line_and_code_2(toy, tmp_path, capsys):
    path = tmp_path / "toy.json"
    path.write_text('{"num_env": 3}')
    assert cli.main(["toy", "--config", str(path)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"error: {path}: num_env: unknown field. Mend: did you mean num_envs?\n"


def test_value_out_of_range_on_the_command_line(toy, capsys):
    assert cli.main(["toy", "--inner.rate", "3"]) == 2
    assert "rate: 3.0 is not in [0, 1]. Mend: choose one there." in capsys.readouterr().err


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
@pytest.mark.parametrize(
    ("flags", "what"),
    [
        (["--nope"], "Unrecognized options: --nope"),
        (["--num-envs", "many"], "Error parsing --num-envs: invalid literal for int()"),
        (["--num-env", "3"], "Perhaps you meant: --num-envs INT"),
        (["--resume"], "Missing value for argument '--resume'"),
    ],
)
def test_flags_that_do_not_parse_are_one_line_and_code_2(
    toy, flags, what, encoding, capsys, monkeypatch
):
    # tyro draws its frame with what the terminal's encoding has.
    monkeypatch.setattr("tyro._fmtlib._FORCE_UTF8_BOXES", encoding == "utf-8")
    assert cli.main(["toy", *flags]) == 2
    out, err = capsys.readouterr()
    assert out == "" and toy.seen == []
    assert err.startswith("error: ") and what in err
    assert err.endswith(". Mend: flare toy --help lists the flags.\n")
    assert err.count("\n") == 1 and not set(err) & set("│╭╰─")


def test_exit_code_of_the_command_is_passed_on(toy):
    toy.run_toy = lambda config: 1
    assert cli.main(["toy"]) == 1


def test_user_error_and_debug(toy, capsys):
    def fail(config):
        raise UserError("zero houses left", mend="loosen the filter", file="h.jsonl")

    toy.run_toy = fail
    assert cli.main(["toy"]) == 2
    assert capsys.readouterr().err == (
        "error: h.jsonl: zero houses left. Mend: loosen the filter.\n"
    )
    assert cli.main(["--debug", "toy"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_core_errors_are_user_errors(toy, monkeypatch, capsys):
    core = ModuleType("flare._core")
    core.FlareError = type("FlareError", (RuntimeError,), {})
    monkeypatch.setitem(sys.modules, "flare._core", core)

    def fail(config):
        raise core.FlareError("house.json: rooms: missing")

    toy.run_toy = fail
    assert cli.main(["toy"]) == 2
    assert capsys.readouterr().err == "error: house.json: rooms: missing\n"


def test_our_own_bugs_are_not_hidden(toy):
    def fail(config):
        raise ZeroDivisionError

    toy.run_toy = fail
    with pytest.raises(ZeroDivisionError):
        cli.main(["toy"])


@pytest.mark.parametrize(
    ("args", "hint"),
    [((), "flare toy --resume runs/<name>"), (("go on with: flare toy -x",), "flare toy -x")],
    ids=["general", "from the recipe"],
)
def test_interrupt_says_how_to_go_on(toy, capsys, args, hint):
    def interrupted(config):
        raise KeyboardInterrupt(*args)

    toy.run_toy = interrupted
    assert cli.main(["toy"]) == 130
    assert hint in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["finetun"], "no command 'finetun'. Mend: did you mean 'finetune'?"),
        (["houses", "chek"], "did you mean 'houses check'?"),
        (["qqq"], "no command 'qqq'. Mend: choose one of demo, "),
        (["config", "qqq"], "no command 'qqq'"),
        (["doctor", "--config"], "--config: no file given"),
    ],
)
def test_unknown_commands(arguments, message, capsys):
    assert cli.main(arguments) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_lists_every_command(arguments, capsys):
    assert cli.main(arguments) == 0
    out = capsys.readouterr().out
    assert all(command.name in out and command.help in out for command in cli.COMMANDS)


def test_help_of_a_group_and_of_config(capsys):
    assert cli.main(["houses"]) == 0
    assert capsys.readouterr().out.count("houses ") == 5
    assert cli.main(["config"]) == 0
    assert "usage: flare config" in capsys.readouterr().out


def test_version(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"flare {__version__}\n"


@pytest.mark.parametrize("command", cli.COMMANDS, ids=lambda command: command.name)
def test_every_command_has_its_config_function_and_help(command, capsys):
    config_class, function = command.load()
    assert callable(function)
    with pytest.raises(SystemExit) as caught:
        cli.main([*command.name.split(), "--help"])
    assert caught.value.code == 0
    assert f"usage: flare {command.name}" in capsys.readouterr().out
    assert config_class.__dataclass_params__.frozen


def test_help_is_quick_and_imports_no_torch():
    program = (
        "import sys; from flare.cli import main; main(['--help'])\n"
        "assert not {'torch', 'numpy', 'tyro'} & set(sys.modules), sorted(sys.modules)"
    )
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    assert time.perf_counter() - begin < 2.0  # 0.1 s alone; tests may share the cores


def test_python_dash_m_flare_exits_with_the_code():
    answer = subprocess.run(
        [sys.executable, "-m", "flare", "nope"], capture_output=True, text=True, check=False
    )
    assert answer.returncode == 2
    assert answer.stderr.startswith("error: no command 'nope'")
    assert "Traceback" not in answer.stderr


def test_a_reader_that_leaves_early_sees_no_traceback():
    program = (
        "import sys\n"
        "from flare import cli\n"
        "cli.help_text = lambda: 'x' * 1_000_000\n"
        "sys.exit(cli.main(['--help']))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.read(10)
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 141
