"""The command line: finds the command, parses its flags into its configuration, runs it."""

import contextlib
import difflib
import importlib
import io
import json
import os
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from flare import __version__
from flare.errors import UserError, user_error_types

EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141


@dataclass(frozen=True)
class Command:
    """One subcommand: the function that runs it and the dataclass of its flags, both by name.

    Names, not objects: only the chosen command's module is imported, so help stays instant.
    """

    name: str  # as typed, "houses show"
    module: str
    config: str  # frozen dataclass in the module
    function: str  # takes the config; returns None or an exit code
    help: str
    is_resumable: bool = False
    positional: str | None = None  # flag that a first word without one stands for

    def load(self) -> tuple[type[Any], Callable[[Any], int | None]]:
        """Import the command's module; its configuration class and its function."""
        module = importlib.import_module(self.module)
        return getattr(module, self.config), getattr(module, self.function)


COMMANDS = (
    Command(
        "demo",
        "flare.recipes.demo",
        "DemoConfig",
        "run_demo",
        "the whole loop: houses, demonstrations, imitation, PPO, evaluation, report",
        is_resumable=True,
    ),
    Command(
        "collect",
        "flare.recipes.collect",
        "CollectConfig",
        "run_collect",
        "write expert demonstrations",
    ),
    Command(
        "pretrain",
        "flare.recipes.pretrain",
        "PretrainConfig",
        "run_pretrain",
        "train a policy by imitation of demonstrations",
    ),
    Command(
        "imitate",
        "flare.recipes.chores",
        "ImitateConfig",
        "run_imitate",
        "learn the four tasks of CHORES from the expert in generated houses, and measure each",
        is_resumable=True,
    ),
    Command(
        "finetune",
        "flare.recipes.finetune",
        "FinetuneConfig",
        "run_finetune",
        "fine-tune a policy with PPO",
        is_resumable=True,
    ),
    Command(
        "eval",
        "flare.evaluation.command",
        "EvaluateConfig",
        "run_evaluate",
        "measure a checkpoint on frozen episodes",
        positional="checkpoint",
    ),
    Command(
        "compare",
        "flare.evaluation.comparison",
        "CompareConfig",
        "run_compare",
        "compare two policies on the same episodes, seed by seed",
        positional="evaluations",
    ),
    Command(
        "import",
        "flare.importing.command",
        "ImportConfig",
        "run_import",
        "read a checkpoint of SPOC or FLaRe, or make a fresh policy of that kind",
        positional="checkpoint",
    ),
    Command(
        "export",
        "flare.importing.command",
        "ExportConfig",
        "run_export",
        "write a policy in the layout of SPOC or FLaRe",
        positional="checkpoint",
    ),
    Command(
        "play",
        "flare.play.command",
        "PlayConfig",
        "run_play",
        "walk a house yourself in the terminal, or let a list of actions do it",
        positional="houses",
    ),
    Command(
        "replay",
        "flare.replay.command",
        "ReplayConfig",
        "run_replay",
        "play an episode log again, to the same bits, and make a video of it",
        positional="log",
    ),
    Command(
        "report", "flare.report", "ReportConfig", "run_report", "write a run's report.html anew"
    ),
    Command(
        "houses generate",
        "flare.houses.commands",
        "GenerateConfig",
        "run_generate",
        "write generated houses, split into train, val and test",
    ),
    Command(
        "houses show",
        "flare.houses.commands",
        "ShowConfig",
        "run_show",
        "draw the plan of a house as PNG",
    ),
    Command(
        "houses check",
        "flare.houses.commands",
        "CheckConfig",
        "run_check",
        "list what would not load of a house file",
    ),
    Command(
        "houses parity",
        "flare.evaluation.parity",
        "ParityConfig",
        "run_parity",
        "play the same actions in two worlds and list what differs",
        positional="houses",
    ),
    Command(
        "houses stats",
        "flare.houses.commands",
        "StatsConfig",
        "run_stats",
        "print what house files are like in numbers, side by side",
    ),
    Command(
        "assets build",
        "flare.asset_commands",
        "BuildConfig",
        "run_build",
        "convert downloaded Objaverse assets into one pack",
    ),
    Command(
        "assets check",
        "flare.asset_commands",
        "CheckConfig",
        "run_check",
        "list the broken assets of a folder or pack",
    ),
    Command(
        "assets show",
        "flare.asset_commands",
        "ShowConfig",
        "run_show",
        "draw a contact sheet of a pack as PNG",
    ),
    Command(
        "assets sample",
        "flare.asset_commands",
        "SampleConfig",
        "run_sample",
        "write example assets in the layout of the downloads",
    ),
    Command(
        "download",
        "flare.data.commands",
        "DownloadConfig",
        "run_download",
        "fetch published houses, assets, annotations, data or checkpoints",
    ),
    Command(
        "doctor",
        "flare.doctor",
        "DoctorConfig",
        "run_doctor",
        "check this machine and installation",
    ),
)

# First words that stand for several commands, such as "houses".
GROUPS = frozenset(command.name.split()[0] for command in COMMANDS if " " in command.name)

WIDTH = max(len(command.name) for command in COMMANDS)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code.

    0 done; 1 the command found a problem; 2 bad input, told in one line; 130 interrupted.
    ``--debug`` anywhere shows tracebacks instead.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    arguments = [each for each in arguments if each != "--debug"]
    command: Command | None = None
    try:
        if not arguments or arguments[0] in ("-h", "--help"):
            print(help_text())
            return 0
        if arguments[0] == "--version":
            print(f"flare {__version__}")
            return 0
        if arguments[0] == "config":
            return _print_config(arguments[1:])
        if arguments[0] in GROUPS and arguments[1:2] in ([], ["-h"], ["--help"]):
            print("\n".join(_rows(arguments[0])))
            return 0
        command, rest = find_command(arguments)
        config_class, function = command.load()
        return function(parse(command, config_class, rest)) or 0
    except KeyboardInterrupt as error:
        print(f"\ninterrupted{_resume_hint(command, error)}", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader left (`flare … | head`). What Python still flushes at exit goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE
    except Exception as error:
        if not isinstance(error, user_error_types()):
            raise
        if debug:
            traceback.print_exc()
        print(f"error: {error}", file=sys.stderr)
        return EXIT_USER_ERROR


def find_command(arguments: Sequence[str]) -> tuple[Command, list[str]]:
    """The command that ``arguments`` begin with, and the rest.

    Raises:
        UserError: there is no such command.
    """
    for command in COMMANDS:
        words = command.name.split()
        if list(arguments[: len(words)]) == words:
            return command, list(arguments[len(words) :])
    if arguments[0] in GROUPS:
        valid = [each.name for each in COMMANDS if each.name.startswith(f"{arguments[0]} ")]
        typed = " ".join(arguments[:2])
    else:
        valid = [*(command.name for command in COMMANDS), "config"]
        typed = arguments[0]
    near = difflib.get_close_matches(typed, valid, n=1)
    raise UserError(
        f"no command {typed!r}",
        mend=f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(valid)}",
    )


def parse(command: Command, config_class: type[Any], arguments: Sequence[str]) -> Any:  # noqa: ANN401
    """Flags to the command's configuration; ``--config FILE`` gives the defaults.

    Raises:
        UserError: a flag that does not exist, a value that does not parse or that the configuration
            refuses.
        SystemExit: help was asked for.
    """
    import tyro  # a quarter of a second that help and version do without

    if command.positional is not None and arguments and not arguments[0].startswith("-"):
        arguments = [f"--{command.positional}", *arguments]
    file, flags = _take_config_file(arguments)
    default = tyro.MISSING_NONPROP
    if file is not None:
        from flare.config import load_config

        default = load_config(file, config_class)
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(
                config_class,
                prog=f"flare {command.name}",
                description=f"{command.help[0].upper()}{command.help[1:]}.",
                args=[_spelled_out(flag, command.name) for flag in flags],
                default=default,
            )
    except SystemExit as stop:
        if stop.code in (0, None):
            raise
        mend = f"flare {command.name} --help lists the flags"
        raise UserError(_without_frame(said.getvalue()), mend=mend) from None


def _spelled_out(flag: str, command: str) -> str:
    """The whole name of a flag that has a short one: ``--world`` and ``--thor-…``."""
    if command == "doctor":  # its fields stand at the top
        return re.sub(r"^--thor-", "--thor.", flag)
    if flag == "--world" or flag.startswith("--world="):
        return flag.replace("--world", "--world.kind", 1)
    return re.sub(r"^--thor-", "--world.thor.", flag)


def _without_frame(box: str) -> str:
    """The text of tyro's message without its title, its frame and its hint at the help."""
    _, *lines = re.sub(r"\x1b\[[\d;]*m", "", box).splitlines() or [""]
    inside = [line.strip("│╰╯ ") for line in lines]
    # Rules of ─ (of - where the terminal has no UTF-8) part the sections.
    text = "\n".join("\0" if set(line) <= {"─", "-"} else line for line in inside)
    sections = [section.strip() for section in text.split("\0")]
    return "; ".join(each for each in sections if each and not each.startswith("For full helptext"))


def help_text() -> str:
    """What ``flare --help`` prints."""
    return "\n".join(
        [
            "Fine-tune imitation-trained robot policies with PPO in house simulators.",
            "",
            "usage: flare COMMAND [flags]      flare COMMAND --help lists the flags",
            "",
            *_rows(),
            f"  {'config':<{WIDTH}}  print the resolved configuration of a command as JSON",
            "",
            "every command: --config FILE  defaults from a file that `flare config` or a run wrote",
            "               --debug        show the traceback of an error",
            "flare --version",
        ]
    )


def _rows(group: str = "") -> list[str]:
    return [
        f"  {command.name:<{WIDTH}}  {command.help}"
        for command in COMMANDS
        if command.name.startswith(group)
    ]


def _print_config(arguments: Sequence[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help"):
        print("usage: flare config COMMAND [flags]      prints JSON that --config accepts back")
        return 0
    from flare.config import to_dict

    command, rest = find_command(arguments)
    config_class, _ = command.load()
    print(json.dumps(to_dict(parse(command, config_class, rest)), indent=2))
    return 0


def _take_config_file(arguments: Sequence[str]) -> tuple[str | None, list[str]]:
    file: str | None = None
    rest: list[str] = []
    words = iter(arguments)
    for word in words:
        if word == "--config":
            file = next(words, None)
            if file is None:
                raise UserError("no file given", mend="write --config FILE", key="--config")
        elif word.startswith("--config="):
            file = word.partition("=")[2]
        else:
            rest.append(word)
    return file, rest


def _resume_hint(command: Command | None, error: KeyboardInterrupt) -> str:
    """A recipe may raise KeyboardInterrupt with its own hint; else say how in general."""
    if error.args:
        return f"; {error.args[0]}"
    if command is not None and command.is_resumable:
        return f"; go on with: flare {command.name} --resume runs/<name>"
    return ""
