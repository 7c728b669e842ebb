"""Behaviour cloning of windows of trajectories, step by step, for any policy and on any ranks."""

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flare.agent import AgentConfig
from flare.data.layout import PAD_ACTION
from flare.data.loader import ChoresConfig
from flare.data.windows import WindowBatch
from flare.errors import UserError, require
from flare.policy.observation import Observation
from flare.policy.policy import Policy
from flare.ranks import Ranks
from flare.rng import keyed_bits
from flare.specs import ActionSpec
from flare.tasks.privileged import NUM_PRIVILEGED
from flare.tasks.tokenizer import Tokenizer

_DROPOUT, _AUGMENT = 11, 12  # streams of random numbers beside the data's


@dataclass(frozen=True, kw_only=True, slots=True)
class CloningConfig:
    """Behaviour cloning by gradient steps; defaults are those of FLaRe's imitation run."""

    num_steps: int = 50_000  # gradient steps
    batch_size: int = 16  # windows of one process and pass
    accumulate: int = 1  # passes a gradient step
    learning_rate: float = 2e-4
    schedule: Literal["constant", "cosine"] = "constant"  # cosine falls to 0 at num_steps
    weight_decay: float = 0.01
    max_grad_norm: float = 0.0  # L2; 0: gradients are not clipped
    precision: Literal["float32", "bfloat16", "float16"] = "float32"  # of forward and backward
    device: str = "cpu"  # or cuda: the one of this process's local rank
    augment: bool = False  # one draw of the original's transforms per window and camera
    log_every: int = 50  # gradient steps a line of metrics.jsonl
    checkpoint_every: int = 2000  # gradient steps
    eval_every: int = 0  # gradient steps between evaluations in the embedded world; 0: none
    eval_houses: Path | None = None  # house file of these evaluations
    eval_episodes: int = 100
    data: ChoresConfig = field(default_factory=ChoresConfig)

    def __post_init__(self) -> None:
        for name in ("num_steps", "batch_size", "accumulate", "log_every", "checkpoint_every",
                     "eval_episodes"):  # fmt: skip
            value = getattr(self, name)
            require(value >= 1, f"cloning.{name}", value, "use at least 1")
        rate = self.learning_rate
        require(0 < rate < math.inf, "cloning.learning_rate", rate, "use a positive number")
        for name in ("weight_decay", "max_grad_norm", "eval_every"):
            value = getattr(self, name)
            require(0 <= value < math.inf, f"cloning.{name}", value, "use 0 or more")
        require(not self.eval_every or self.eval_houses is not None, "cloning.eval_houses", None,
                "name a house file, or leave eval_every 0")  # fmt: skip

    def rate_at(self, step: int) -> float:
        """Learning rate of a gradient step."""
        if self.schedule == "constant":
            return self.learning_rate
        return self.learning_rate * 0.5 * (1.0 + math.cos(math.pi * step / self.num_steps))


class WindowSource(Protocol):
    """What WindowLoader and FileWindows have in common."""

    def batches(
        self, first: int = 0, progress: Callable[[int], float] = ...
    ) -> Iterator[WindowBatch | None]:
        """Each batch from number ``first`` on; None for one that could not be read."""
        ...


class Cloner:
    """Policy, optimizer and one gradient step; any number of passes and processes give the same."""

    def __init__(
        self, agent: AgentConfig, policy: Policy, vocabulary: Tokenizer, config: CloningConfig,
        *, seed: int, ranks: Ranks,
    ) -> None:  # fmt: skip
        self.config, self.seed, self.ranks = config, seed, ranks
        self.device = torch.device(
            f"cuda:{ranks.local}" if config.device == "cuda" else config.device
        )
        self.policy = policy.to(self.device)
        dtype: torch.dtype = getattr(torch, config.precision)
        # Forward and backward in half precision, the step in float32: on a copy of the weights.
        self._working = self.policy
        if dtype != torch.float32:
            self._working = copy.deepcopy(self.policy).to(dtype)
        self._vocabulary = vocabulary
        self._size = (agent.camera.height, agent.camera.width)
        actions = ActionSpec(agent.action_names)
        none = actions.none_yet
        self._action_ids = torch.from_numpy(actions.policy_actions()).to(self.device)
        # Of the action before: none yet, and what pads, behind the last real step.
        self._last_ids = torch.cat([self._action_ids, torch.tensor([none, none]).to(self.device)])
        self.trained = [p for p in policy.actor_parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(
            self.trained, lr=config.learning_rate, weight_decay=config.weight_decay
        )
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=config.precision == "float16")

    def step(self, number: int, batches: Sequence[WindowBatch | None]) -> dict[str, float]:
        """One gradient step on the windows of all passes and processes.

        The loss is the mean over all their real steps, whatever their split; a process whose
        batches are all None takes part with nothing.

        Returns: ``imitation_loss``, ``accuracy``, ``grad_norm`` before clipping, ``learning_rate``.
        Raises: UserError for a loss or gradient that is not finite, or an action that the policy
            lacks.
        """
        self._working.train()
        self._copy_weights()
        torch.manual_seed(int(keyed_bits(self.seed, self.ranks.rank, number, 0, _DROPOUT)) >> 1)
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.rate_at(number)
        for parameter in self._working.parameters():
            parameter.grad = None
        sums = torch.zeros(3, device=self.device, dtype=torch.float64)  # loss, hits, steps
        for index, batch in enumerate(batches):
            if batch is not None:
                sums += self._backward(batch, number * len(batches) + index)
        self.ranks.add(sums)
        loss, hits, steps = sums.tolist()
        norm = self._apply(max(steps, 1.0))
        steps = max(steps, 1.0)
        return {
            "imitation_loss": loss / steps,
            "accuracy": hits / steps,
            "grad_norm": norm,
            "learning_rate": self.config.rate_at(number),
        }

    def loss_sums(self, batch: WindowBatch, pass_number: int) -> tuple[Tensor, Tensor]:
        """Cross entropy summed over real steps, with gradient; and [loss, hits, steps]."""
        actions = self._to(batch.actions).t()
        valid = actions != PAD_ACTION
        wanted = self._action_ids[actions.clamp(min=0)]
        if bool((valid & (wanted < 0)).any()):
            raise UserError(
                "hold an action that the policy does not have",
                key="demonstrations",
                mend="start from a policy with all twenty actions",
            )
        obs = self._observation(batch, valid, pass_number)
        episode_start = torch.zeros_like(valid)
        episode_start[0] = True
        logits = self._working.evaluate_logits(obs, episode_start)
        each = F.cross_entropy(logits.flatten(0, 1), wanted.flatten(), reduction="none")
        loss = (each * valid.flatten()).sum()
        hits = ((logits.argmax(-1) == wanted) & valid).sum()
        return loss, torch.stack([loss.detach().double(), hits.double(), valid.sum().double()])

    def _backward(self, batch: WindowBatch, pass_number: int) -> Tensor:
        loss, sums = self.loss_sums(batch, pass_number)
        # Half precision wants numbers near one: a mean over about as many steps as there are.
        torch.autograd.backward(self.scaler.scale(loss / self._nominal))
        return sums

    @torch.no_grad()
    def _copy_weights(self) -> None:
        if self._working is not self.policy:
            for master, working in zip(
                self.policy.parameters(), self._working.parameters(), strict=True
            ):
                working.copy_(master)

    @property
    def _nominal(self) -> float:
        return float(self.config.batch_size * self.config.data.window.length)

    def _apply(self, steps: float) -> float:
        """Add the gradients of all processes, make them those of the mean, and move."""
        pairs = zip(self.policy.parameters(), self._working.parameters(), strict=True)
        grads = [(master, working.grad) for master, working in pairs]
        # Another process may have reached what this one, without a window, did not.
        reached = torch.tensor([float(grad is not None) for _, grad in grads], device=self.device)
        self.ranks.add(reached)
        made = [each for each, count in zip(grads, reached.tolist(), strict=True) if count]
        if not made:
            return 0.0
        flat = torch.cat(
            [(torch.zeros_like(m) if g is None else g).flatten().float() for m, g in made]
        )
        self.ranks.add(flat)
        flat *= self._nominal / steps
        moving = [master for master, _ in made]
        parts = torch.split(flat, [master.numel() for master in moving])
        for parameter, part in zip(moving, parts, strict=True):
            parameter.grad = part.view_as(parameter)
        self.scaler.unscale_(self.optimizer)
        limit = self.config.max_grad_norm or math.inf
        norm = float(nn.utils.clip_grad_norm_(moving, limit))
        if not math.isfinite(norm) and not self.scaler.is_enabled():
            raise UserError(
                f"an imitation step has gradient norm {norm}",
                key="cloning.learning_rate",
                mend="lower the learning rate, or use precision float32",
            )
        self.scaler.step(self.optimizer)  # leaves the weights where float16 overflowed
        self.scaler.update()
        return norm

    def _observation(self, batch: WindowBatch, valid: Tensor, pass_number: int) -> Observation:
        """[S, B] of what the policy saw; where padded, the last actions and times do not matter."""
        steps, width = valid.shape
        tokens = self._to(self._vocabulary.encode(batch.instructions))
        return Observation(
            features=self._features(batch, pass_number),
            tokens=tokens.expand(steps, *tokens.shape),
            prev_action=self._last_ids[self._to(batch.last_actions).t()],
            in_hand=self._to(batch.in_hand).t() * valid,
            time_step=self._to(batch.time_ids).t().clamp(min=0),
            facts=torch.zeros(steps, width, NUM_PRIVILEGED, device=self.device),
        )

    def _features(self, batch: WindowBatch, pass_number: int) -> Tensor:
        frames = self._to(batch.frames).transpose(0, 1)
        if not self.config.augment:
            return self._working.encode_frames(frames.flatten(0, 1)).view(*frames.shape[:2], -1)
        # A window keeps its draw: one pass of the encoder a step, over all windows and cameras.
        windows = np.arange(len(batch.instructions))
        stream = np.full(len(windows), pass_number * self.ranks.count + self.ranks.rank)
        draws = self.policy.draw_augmentations(
            self.seed + _AUGMENT, windows, stream, call=pass_number
        )
        return torch.stack([self._working.encode_frames(step, draws) for step in frames])

    def _to(self, array: np.ndarray[Any, Any]) -> Tensor:
        return torch.from_numpy(array).to(self.device)

    def acting_policy(self) -> Policy:
        """A copy on the CPU, where the embedded world plays."""
        return copy.deepcopy(self.policy).to("cpu")
