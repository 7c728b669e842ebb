"""The rollout buffer: arrays in shared memory that worlds and policy fill in turns.

The trainer creates it, hands slots to workers and takes them back; a worker in another process
attaches with the handle alone and writes frames and facts in place. No pipe, pickle or copy is
involved: only a few words a step, on which both sides sleep (futex).

Trainer::

    buffer = RolloutBuffer.create([ArraySpec("frames", np.uint8, (T + 1, N, C, H, W, 3)),
                                   ArraySpec("actions", np.int32, (T, N))], num_envs=N)
    start_workers(buffer.handle())
    actions = buffer.array("actions")
    actions[t, envs] = ...
    buffer.send_actions(envs, t)
    ready, dead = buffer.wait_ready(min_count=len(envs), timeout=10.0)

Worker::

    with WorkerSlot(RolloutBuffer.attach(handle), env) as slot:
        frames, actions = slot.buffer.array("frames"), slot.buffer.array("actions")
        for request in slot.requests():
            world.step(actions[request.step, env], out=frames[request.step + 1, env])
"""

import ast
import enum
import os
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from flare import _core
from flare.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor


class Command(enum.IntEnum):
    """What the policy asks of a worker. `step` is the row that goes with it."""

    STEP = 0
    """Apply actions[step], write the observation into row step + 1."""
    RESET = 1
    """Start an episode, write its first observation into row step."""
    CLOSE = 2
    """Leave the slot; no observation follows."""


_COMMANDS = tuple(Command)  # by value


class SlotState(enum.IntEnum):
    """Whose turn a slot is; see csrc/rollout/slot_state.hpp."""

    IDLE = 0
    ACTION_READY = 1
    WORKING = 2
    OBSERVATION_READY = 3
    DEAD = 4


class Request(NamedTuple):
    """One request that a worker took."""

    command: Command
    step: int


class ReadyEnvs(NamedTuple):
    """What RolloutBuffer.wait_ready found; both ascend."""

    ready: NDArray[np.int32]
    """[k] environments whose observation is written; their slots are the policy's again."""
    dead: NDArray[np.int32]
    """[d] environments whose worker ended, each told once; the slot needs RolloutBuffer.reclaim."""


@dataclass(frozen=True)
class ArraySpec:
    """One array of a buffer."""

    name: str
    """Letters, digits, underscores."""
    dtype: DTypeLike
    """Any numpy dtype without Python objects; structured ones too."""
    shape: tuple[int, ...]
    """At most 8 axes; [T, N, ...] or [T + 1, N, ...] by convention."""


@dataclass(frozen=True, slots=True)
class BufferHandle:
    """All that another process of this machine needs to attach; small, picklable, printable."""

    pid: int
    """The creator; 0: descriptor `fd` of the attaching process itself, which inherited it."""
    fd: int
    name: str
    """Of POSIX shared memory; empty: memory without a name, found through pid and fd."""
    token: int
    """Random; guards against a descriptor that has come to mean another buffer."""

    def inherited(self) -> "BufferHandle":
        """Return the handle for a child that got the descriptor by the same number (pass_fds)."""
        return BufferHandle(0, self.fd, self.name, self.token)

    def to_text(self) -> str:
        """One word for a command line or an environment variable."""
        return f"{self.pid}:{self.fd}:{self.token:x}:{self.name}"

    @classmethod
    def from_text(cls, text: str) -> "BufferHandle":
        """Parse what to_text gave.

        Raises:
            ValueError: The text is not a handle.
        """
        try:
            pid, fd, token, name = text.strip().split(":", 3)
            return cls(int(pid), int(fd), name, int(token, 16))
        except ValueError:
            raise ValueError(
                f"{text!r} is not a buffer handle of the form pid:fd:token:name"
            ) from None


@dataclass(frozen=True, slots=True)
class SharedPlace:
    """Where an array's bytes lie in a buffer's memory."""

    fd: int
    """Descriptor of the memory in this process."""
    offset: int
    """Bytes from the memory's start."""
    num_bytes: int
    """Size of the memory."""
    token: int
    """Random; tells this memory from a later one behind the same descriptor."""


_live_buffers: "weakref.WeakSet[RolloutBuffer]" = weakref.WeakSet()


def find_shared(array: NDArray[Any]) -> SharedPlace | None:
    """Where an array lies among the buffers of this process; None if it is not in shared memory.

    Another process that maps the descriptor finds the array's first byte at the offset.
    """
    address = array.ctypes.data
    for buffer in _live_buffers:
        offset = address - buffer._core.address
        if offset >= 0 and offset + array.nbytes <= buffer.num_bytes:
            return SharedPlace(buffer._core.fd, offset, buffer.num_bytes, buffer._core.token)
    return None


def _dtype_text(dtype: np.dtype[Any]) -> str:
    """Write a dtype as text, offsets and padding included; _dtype_from_tree reads it back."""
    if dtype.hasobject:
        raise TypeError(f"dtype {dtype} holds Python objects, which cannot be shared")
    return repr(_dtype_tree(dtype))


def _dtype_tree(dtype: np.dtype[Any]) -> Any:  # noqa: ANN401 - a tree of literals
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return (_dtype_tree(base), shape)
    if dtype.fields is None:
        return dtype.str
    names = list(dtype.names or ())
    return {
        "names": names,
        "formats": [_dtype_tree(dtype.fields[name][0]) for name in names],
        "offsets": [dtype.fields[name][1] for name in names],
        "itemsize": dtype.itemsize,
    }


def _dtype_from_tree(tree: Any) -> np.dtype[Any]:  # noqa: ANN401 - a tree of literals
    spec: Any = tree
    if isinstance(tree, tuple):
        spec = (_dtype_from_tree(tree[0]), tree[1])
    elif isinstance(tree, dict):
        spec = {**tree, "formats": [_dtype_from_tree(item) for item in tree["formats"]]}
    dtype: np.dtype[Any] = np.dtype(spec)
    return dtype


class RolloutBuffer:
    """Arrays in shared memory and the hand-over of their slots, one slot an environment.

    Exactly one process, the creator, calls send_actions, wait_ready and reclaim, from one thread
    at a time. The memory lives as long as any object or array of it lives in any process, and is
    gone with the last one however that process ends.
    """

    def __init__(self, core: _core.RolloutBuffer) -> None:
        self._core = core
        _live_buffers.add(self)
        self._arrays: dict[str, NDArray[Any]] = {}
        for name, text, _, shape in core.specs:
            dtype = _dtype_from_tree(ast.literal_eval(text))
            # The array's base is the core object, so it lives on without this one.
            self._arrays[name] = np.ndarray(tuple(shape), dtype, core.array_bytes(name).data)

    @classmethod
    def create(
        cls, specs: Sequence[ArraySpec], num_envs: int, shared: str | None = None
    ) -> "RolloutBuffer":
        """Make new, zeroed arrays.

        Args:
            specs: What to hold; names are unique.
            num_envs: Number of slots N.
            shared: None: memory without a name (recommended). A name: POSIX shared memory, for
                processes that cannot reach the creator through /proc; unlinked by the creator.

        Raises:
            OSError: The machine, a control group or /dev/shm has too little memory, or the name is
                taken (flare SharedMemoryError; says how many bytes).
            ValueError: A bad name, shape or count (flare ShapeError).
            TypeError: A dtype with Python objects.
        """
        tuples = []
        for spec in specs:
            dtype = np.dtype(spec.dtype)
            tuples.append((spec.name, _dtype_text(dtype), dtype.itemsize, list(spec.shape)))
        return cls(_core.RolloutBuffer.create(tuples, num_envs, shared or ""))

    @classmethod
    def attach(cls, handle: BufferHandle) -> "RolloutBuffer":
        """Open the buffer behind a handle, from any process of the same user.

        Raises:
            OSError: The creator is gone or the handle means something else (SharedMemoryError).
        """
        if handle.name:
            return cls(_core.RolloutBuffer.attach_named(handle.name, handle.token))
        if handle.pid == 0:
            return cls(_core.RolloutBuffer.attach_fd(handle.fd, handle.token))
        return cls(_core.RolloutBuffer.attach_process(handle.pid, handle.fd, handle.token))

    def handle(self) -> BufferHandle:
        """Return what another process needs to attach while this object lives."""
        return BufferHandle(os.getpid(), self._core.fd, self._core.name, self._core.token)

    @property
    def num_envs(self) -> int:
        """Number of slots N."""
        return self._core.num_envs

    @property
    def num_bytes(self) -> int:
        """Size of the memory, header included."""
        return self._core.num_bytes

    @property
    def names(self) -> tuple[str, ...]:
        """The arrays' names, in the order of their specs."""
        return tuple(self._arrays)

    def array(self, name: str) -> NDArray[Any]:
        """Return an array, as a view of the shared memory that keeps it alive.

        Raises:
            KeyError: There is none of that name; lists those that are.
        """
        if name not in self._arrays:
            raise KeyError(f"no array {name!r}; the buffer has {', '.join(self._arrays)}")
        return self._arrays[name]

    def tensor(self, name: str) -> "Tensor":
        """Return the same memory as a torch tensor of the array's shape.

        Raises:
            KeyError: There is none of that name.
            TypeError: torch has no such dtype (structured arrays).
        """
        import torch  # workers attach without it

        return torch.from_numpy(self.array(name))

    def pin(self) -> None:
        """Lock the memory in place, so that a GPU copies from it directly and asynchronously.

        Raises:
            UserError: the driver refuses, as it does beyond the limit of locked memory.
        """
        import torch

        runtime = torch.cuda.cudart()  # type: ignore[no-untyped-call]
        address = self._core.address
        error = int(runtime.cudaHostRegister(address, self._core.num_bytes, 0))
        if error != 0:
            raise UserError(
                f"CUDA cannot lock the {self._core.num_bytes:,} bytes of a rollout (error {error})",
                key="world.num_envs",
                mend="use fewer worlds or shorter rollouts, or raise the limit (ulimit -l)",
            )
        weakref.finalize(self, runtime.cudaHostUnregister, address)

    def send_actions(
        self, envs: ArrayLike, steps: ArrayLike, command: Command = Command.STEP
    ) -> None:
        """Hand slots to their workers; everything written into their rows before is visible there.

        Args:
            envs: [k] environments.
            steps: The row, one for all or [k].
            command: What to do.

        Raises:
            RuntimeError: A slot is not the policy's (StateError); then nothing was sent.
            ValueError: No such environment (ShapeError).
        """
        env_ids = np.ascontiguousarray(envs, np.int32)
        if isinstance(steps, int):
            self._core.send_actions(env_ids, steps, command)
        else:
            self._core.send_actions(env_ids, np.ascontiguousarray(steps, np.uint32), command)

    def wait_ready(self, min_count: int = 1, timeout: float | None = None) -> ReadyEnvs:
        """Sleep until min_count environments are ready or a worker died, and take all that are.

        Args:
            min_count: 0 looks without waiting.
            timeout: Seconds; None waits without end. When it is over, what is ready is returned,
                fewer than min_count.

        Raises:
            RuntimeError: Fewer than min_count environments have a request (StateError).
        """
        return ReadyEnvs._make(self._core.wait_ready(min_count, timeout))

    def expect_worker(self, env: int, pid: int) -> None:
        """Name the process that will attach, so that its death is noticed before it does.

        Raises:
            RuntimeError: The slot has a worker (StateError).
        """
        self._core.expect_worker(env, pid)

    def reclaim(self, env: int) -> None:
        """Free the slot of a worker that is gone; a replacement may attach, a request be sent.

        Raises:
            RuntimeError: Its worker lives (StateError): end that process first.
        """
        self._core.reclaim(env)

    def state(self, env: int) -> SlotState:
        """Return where a slot stands now."""
        return SlotState(self._core.state(env))


class WorkerSlot(_core.WorkerSlot):
    """A worker's hold of one slot; a context manager.

    A worker loops over ``requests()``. One that must look elsewhere in between has its parts:
    ``wait_action(timeout)``, then ``finish_step()``, which hands the written rows over
    (RuntimeError without a taken request). ``leave()`` ends the hold (twice is once); ``env`` is
    the slot's number.

    Leaving between requests frees the slot for another worker. Leaving with a taken request, by an
    exception or the process' death, tells the policy that the slot is dead.
    """

    def __init__(self, buffer: RolloutBuffer, env: int) -> None:
        """Register this process.

        Raises:
            RuntimeError: The slot has or expects another worker (StateError).
            ValueError: No such environment (ShapeError).
        """
        super().__init__(buffer._core, env)
        self.buffer = buffer

    def wait_action(self, timeout: float | None = None) -> Request | None:
        """Sleep until the policy's next request and take it.

        Args:
            timeout: Seconds; None waits without end.

        Returns:
            The request; None when the time is over.

        Raises:
            RuntimeError: The last request is not finished, or the buffer's creator is gone
                (StateError).
        """
        request = self.take_request(timeout)
        return None if request is None else Request(Command(request[0]), request[1])

    def requests(self) -> Iterator[Request]:
        """Iterate over the requests until CLOSE; each step hands over what the last one wrote.

        Raises:
            RuntimeError: The buffer's creator is gone, or the slot was left (StateError).
        """
        return self.iterate(Request, _COMMANDS)

    def __enter__(self) -> "WorkerSlot":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.leave()
