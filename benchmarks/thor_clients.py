"""Who takes part in bench_thor beside ours: AI2-THOR's client alone, over pipes, and over futexes.

"recorded" and "constant" tell what the client itself takes: it reads replies that were made ahead,
from memory or from a process that does nothing but send them.
"""

import contextlib
import fcntl
import json
import math
import mmap
import multiprocessing
import os
import struct
import sys
import tempfile
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import msgpack
import numpy as np

from flare.houses.sources import house_items
from flare.specs import CameraSpec
from flare.worlds.thor.config import ThorConfig
from flare.worlds.thor.memory import Memory
from flare.worlds.thor_worker.channel import CLOSE, STEP, Channel, channel_bytes, wait_request

PROGRAM = str(Path(sys.executable).parent / "flare-thor")
CAMERA = CameraSpec(num_cameras=2)
TURN = 1  # the policy action of every step: it is never blocked for long and draws all anew
Client = Any  # ai2thor has no types
SPAWN = multiprocessing.get_context("spawn")
_F_SETPIPE_SZ = 1031
_PIPE_BYTES = 1 << 20
_METADATA, _IMAGE, _THIRD_PARTY_IMAGE, _END = 1, 4, 10, 255  # fields of a message
_FIRST = 1 << 40  # sequence ids of made replies, all of nine bytes
_RECORDED = 2  # replies made ahead: few, so that they stay in the cache as a pipe does


def items() -> list[tuple[str, str]]:
    """Two houses."""
    return house_items("generated", count=2, seed=3)


@contextlib.contextmanager
def one_processor() -> Iterator[None]:
    """This process and what it starts share a processor: who takes turns needs no more."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def make_client(folder: str, arguments: str = "") -> Client:
    """The real client in the first house, its objects filtered."""
    os.environ["HOME"] = folder
    from ai2thor.controller import Controller

    settings = {**ThorConfig().controller_arguments(CAMERA), "scene": json.loads(items()[0][1])}
    client = Controller(local_executable_path=f"{PROGRAM} {arguments}", **settings)
    client.step("SetObjectFilter", objectIds=[])
    return client


def client_step(client: Client) -> Client:
    """What one policy step asks of AI2-THOR."""
    event = client.step("RotateRightQuick", degrees=30, renderImageSynthesis=False)
    client.step("GetVisibleObjects", maxDistance=100)
    client.step("GetVisibleObjects", maxDistance=100, thirdPartyCameraIndex=0)
    return event


def reply_of(client: Client, sequence_id: int) -> bytes:
    """The client's newest reply, both frames included, as a message with this sequence id."""
    server = client.server
    metadata = msgpack.packb({**server.raw_metadata, "sequenceId": sequence_id})
    images = server.raw_files
    fields = (
        (_METADATA, metadata),
        (_THIRD_PARTY_IMAGE, images["image-thirdParty-camera"][0]),
        (_IMAGE, images["image"][0]),
        (_END, b""),
    )
    return b"".join(struct.pack("!BI", kind, len(body)) + body for kind, body in fields)


@contextlib.contextmanager
def recorded(folder: str) -> Iterator[Callable[[], None]]:
    """The client and nothing else: it reads replies that lie in memory."""
    client = make_client(folder)
    client.step("Pass", renderImageSynthesis=False)
    client.stop()
    server = client.server
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(tempfile.TemporaryFile(dir="/dev/shm"))
        for number in range(1, _RECORDED + 1):
            file.write(reply_of(client, _FIRST + number))
        file.flush()
        server.server_pipe = stack.enter_context(open(f"/proc/self/fd/{file.fileno()}", "rb"))
        server.client_pipe = stack.enter_context(open(os.devnull, "wb"))
        server.sequence_id = _FIRST

        def step() -> None:
            if server.sequence_id == _FIRST + _RECORDED:
                server.sequence_id = _FIRST
                server.server_pipe.seek(0)
            client.step("Pass", renderImageSynthesis=False)

        yield step


def send_constant(folder: str, message: bytes, at: int) -> None:
    """Answer every action with the same bytes, but for the eight of the sequence id."""
    reply, end = bytearray(message), struct.pack("!BI", _END, 0)
    out = os.open(f"{folder}/replies", os.O_WRONLY)
    fcntl.fcntl(out, _F_SETPIPE_SZ, _PIPE_BYTES)
    actions = os.open(f"{folder}/actions", os.O_RDONLY)
    number = _FIRST
    while action := os.read(actions, _PIPE_BYTES):
        while not action.endswith(end):
            action += os.read(actions, _PIPE_BYTES)
        number += 1
        struct.pack_into("!Q", reply, at, number)
        left = memoryview(reply)
        while left:
            left = left[os.write(out, left) :]


@contextlib.contextmanager
def constant(folder: str) -> Iterator[Callable[[], None]]:
    """The client before a process that does nothing but send."""
    client = make_client(folder)
    client.step("Pass", renderImageSynthesis=False)
    client.stop()
    message = reply_of(client, _FIRST)
    at = message.index(struct.pack("!Q", _FIRST))
    for name in ("replies", "actions"):
        os.mkfifo(f"{folder}/{name}")
    process = SPAWN.Process(target=send_constant, args=(folder, message, at), daemon=True)
    process.start()
    server = client.server
    with open(f"{folder}/replies", "rb") as replies, open(f"{folder}/actions", "wb") as actions:
        server.server_pipe, server.client_pipe = replies, actions
        server.sequence_id = _FIRST
        yield lambda: client.step("Pass", renderImageSynthesis=False)
    process.join()


def copying_worker(fds: tuple[int, int], folder: str, arguments: str) -> None:
    """A client that copies what it sees to where its parent wants it, and nothing else."""
    parent = os.getppid()
    channel_fd, frames_fd = (os.open(f"/proc/{parent}/fd/{fd}", os.O_RDWR) for fd in fds)
    channel, client = Channel(channel_fd, 1), make_client(folder, arguments)
    frames = np.frombuffer(mmap.mmap(frames_fd, 0), np.uint8).reshape(CAMERA.frame_shape)
    while True:
        wait_request(channel, 0, parent)
        if channel.boxes[0]["command"] == CLOSE:
            client.stop()
            return
        event = client_step(client)
        np.copyto(frames[0], event.frame[:, 6:-6])
        np.copyto(frames[1], event.third_party_camera_frames[0][:, 6:-6, :3])
        channel.finish(0, is_news=False)


@contextlib.contextmanager
def one_copy(folder: str, arguments: str) -> Iterator[Callable[[], None]]:
    """The least a worker must do: the client, one copy of its frames, a wake there and one back."""
    memories = (Memory("boxes", channel_bytes(1)), Memory("frames", math.prod(CAMERA.frame_shape)))
    channel = Channel(memories[0].fd, 1)
    fds = tuple(memory.fd for memory in memories)
    process = SPAWN.Process(target=copying_worker, args=(fds, folder, arguments), daemon=True)
    process.start()

    def send(command: int) -> None:
        channel.write_step(0, command, TURN, True, 0, 0)
        channel.request(0)

    def step() -> None:
        send(STEP)
        while channel.is_busy(0):
            channel.served[0].wait(channel.requested[0].get() - 1, 1.0)

    yield step
    send(CLOSE)
    process.join()
    for memory in memories:
        memory.close()


def pickling_worker(pipe: Connection, folder: str, arguments: str) -> None:
    """A client that pickles what it sees."""
    client = make_client(folder, arguments)
    pipe.send("ready")
    while pipe.recv() is not None:
        event = client_step(client)
        pipe.send(
            {
                "nav": np.ascontiguousarray(event.frame[:, 6:-6]),
                "manip": np.ascontiguousarray(event.third_party_camera_frames[0][:, 6:-6, :3]),
                "metadata": event.metadata["agent"],
            }
        )
    client.stop()


@contextlib.contextmanager
def pickled_pipes(num_envs: int, folder: str, arguments: str) -> Iterator[Callable[[], None]]:
    """The original's way: pickled observations through pipes, copied into the rollout."""
    frames = np.zeros((num_envs, *CAMERA.frame_shape), np.uint8)
    pipes, processes = [], []
    for _ in range(num_envs):
        ours, theirs = SPAWN.Pipe()
        process = SPAWN.Process(target=pickling_worker, args=(theirs, folder, arguments))
        process.daemon = True
        process.start()
        pipes.append(ours)
        processes.append(process)
    for pipe in pipes:
        pipe.recv()

    def step() -> None:
        for pipe in pipes:
            pipe.send(TURN)
        for env, pipe in enumerate(pipes):
            observation = pipe.recv()
            frames[env, 0], frames[env, 1] = observation["nav"], observation["manip"]

    yield step
    for pipe in pipes:
        pipe.send(None)
    for process in processes:
        process.join()
