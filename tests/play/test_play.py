"""``flare play`` under a pseudo-terminal and unattended."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time

import av
import numpy as np
import pytest

from flare.cli import main
from flare.play.keys import ACTION_KEYS, NEXT, QUIT, meaning
from flare.play.terminal import half_blocks
from flare.replay.log import EpisodeLog
from flare.specs import ACTION_NAMES


class Screen:
    """A process on a pseudo-terminal of 60 columns and 20 rows."""

    def __init__(self, *arguments, cwd):
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 20, 60, 0, 0))
        environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "flare", *arguments],
            stdin=slave, stdout=slave, stderr=subprocess.PIPE, cwd=cwd, env=environment,
            close_fds=True,
        )  # fmt: skip
        self.before, self._slave = termios.tcgetattr(slave), slave
        self.text, self._read = "", 0

    def wait_for(self, wanted, seconds=60):
        """What was written since the last call up to and with the text."""
        deadline = time.monotonic() + seconds
        while (end := self.text.find(wanted, self._read)) < 0:
            assert time.monotonic() < deadline, self.text[-500:]
            if select.select([self._master], [], [], 0.2)[0]:
                self.text += os.read(self._master, 65536).decode("utf-8", "replace")
        start, self._read = self._read, end + len(wanted)
        return self.text[start : self._read]

    def send(self, keys):
        os.write(self._master, keys.encode())

    def settings(self):
        return termios.tcgetattr(self._slave)

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stderr.close()
        os.close(self._slave)
        os.close(self._master)


def test_keys_walk_the_robot_and_the_log_replays(tmp_path, capsys):
    screen = Screen("play", "--log", "log.jsonl", "--seed", "1", cwd=tmp_path)
    try:
        first = screen.wait_for("next episode   Q: quit\x1b[K")
        assert "\x1b[?1049h" in first  # the terminal's own screen is kept
        assert first.count("▀") >= 60 * 12
        assert len(set(re.findall(r"38;2;[\d;]+m", first))) > 10  # true colours, many of them
        assert re.search(r"step 0 +\| +start", first)
        screen.send("d")
        assert "rotate_right" in screen.wait_for("step 1") + screen.wait_for("Q: quit")
        screen.send("\x1b[A")
        assert "move_ahead" in screen.wait_for("step 2") + screen.wait_for("Q: quit")
        screen.send("?")  # no key of ours: nothing happens but a new picture
        assert "step 2" in screen.wait_for("Q: quit")
        screen.send("x")
        assert re.search("SUCCESS|FAILURE", screen.wait_for("Q: quit"))
        screen.send("n")
        screen.wait_for("step 0")
        screen.send("aQ")
        screen.wait_for("wrote log.jsonl")
        assert "\x1b[?1049l" in screen.text
        assert screen.process.wait(30) == 0
        assert screen.settings() == screen.before
    finally:
        screen.close()
    log = EpisodeLog.read(tmp_path / "log.jsonl")
    names = [[log.header.action_names[a] for a in e.actions] for e in log.episodes]
    assert names == [["rotate_right", "move_ahead", "done"], ["rotate_left"]]
    assert [e.success is None for e in log.episodes] == [False, True]
    assert main(["replay", str(tmp_path / "log.jsonl"), "--num-threads", "2"]) == 0
    assert "2 of 2 episodes are the same to the bit (4 actions)" in capsys.readouterr().out


def test_unattended_to_a_video(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "walk.txt").write_text("move_ahead, rotate_left\nmove_arm_up done\n")
    flags = ["--task", "Fetch", "--camera.width", "48", "--camera.height", "32"]
    assert main(["play", "--actions", "walk.txt", "--video", "walk.mp4", *flags]) == 0
    out = capsys.readouterr().out
    assert "wrote play-0.jsonl" in out and "step 4  |  done" in out and "FAILURE" in out
    with av.open("walk.mp4") as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(frames) == 5 + 8  # the start, four actions, the last picture for a while
    assert frames[0].shape[1] > 2 * 540  # two cameras of 540 px and the plan
    assert not np.array_equal(frames[0], frames[2])
    assert main(["play", "--actions", "rotate_left", *flags]) == 0
    assert (tmp_path / "play-1.jsonl").exists()
    assert main(["replay", "play-0.jsonl"]) == 0


def test_the_expert_finds_the_way(tmp_path, capsys):
    log = tmp_path / "log.jsonl"
    flags = ["--camera.width", "16", "--camera.height", "16", "--log", str(log)]
    assert main(["play", "--actions", "expert", *flags]) == 0
    assert "SUCCESS" in capsys.readouterr().out
    assert EpisodeLog.read(log).episodes[0].success is True


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--actions", "fly"], "actions: 'fly' is no action here and no file"),
        (["--actions", " "], "actions: holds no action"),
        (["--houses", "nowhere.jsonl"], "nowhere.jsonl: there is no such file"),
        (["--task", "Nap"], "task: 'Nap' is no task"),
        (["--robot", "roomba"], "robot: no robot is called 'roomba'"),
        (["--task", "Fetch", "--robot", "locobot"], "has no action"),
        (["--video", "a.mp4"], "video: is of an unattended episode"),
        (["--actions", "done", "--video", "a.gif"], "a.gif: names no video file"),
        ([], "needs a terminal"),
    ],
)
def test_bad_input_is_one_clear_error(flags, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    try:
        code = main(["play", *flags])
    except SystemExit as exit_:  # a flag's own check, in the argument parser
        code = exit_.code
    assert code == 2
    error = capsys.readouterr().err
    assert message in " ".join(re.sub("[│╭╮╰╯─]", " ", error).split())
    assert list(tmp_path.iterdir()) == []


def test_every_action_has_a_key_and_arrows_work():
    assert sorted(ACTION_KEYS.values()) == sorted(ACTION_NAMES)
    assert [meaning(key) for key in ("\x1b[A", "\x1bOD", "n", "\x03", "z")] == [
        "move_ahead", "rotate_left", NEXT, QUIT, None,
    ]  # fmt: skip


def test_half_blocks_put_two_pixels_into_a_character():
    image = np.array([[[1, 2, 3], [1, 2, 3]], [[4, 5, 6], [7, 8, 9]]], np.uint8)
    assert half_blocks(image) == ["\x1b[38;2;1;2;3;48;2;4;5;6m▀\x1b[38;2;1;2;3;48;2;7;8;9m▀\x1b[0m"]
