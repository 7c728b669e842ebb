"""``Policy.act`` as CUDA graphs: hundreds of small kernels, launched as one."""

from dataclasses import dataclass, fields
from typing import Protocol

import torch
from torch import Tensor

from flare.policy.kv_cache import KVCache, SharedCounterCache
from flare.policy.observation import Observation
from flare.policy.policy import ActOutput, Policy
from flare.policy.spoc.instruction_encoder import Words

_SPAN_STEP = 128  # places of the cache that one graph more reads
_TEXT_STEP = 8  # tokens of text that one graph more reads


class Act(Protocol):
    """One step of N environments; as Policy.act with a cache given before."""

    def __call__(
        self, obs: Observation, uniforms: Tensor | None, *, with_value: bool = True
    ) -> ActOutput:
        """Observations [N] on any device."""


@dataclass(frozen=True, slots=True)
class _Graph:
    """One captured step and where its results lie."""

    graph: torch.cuda.CUDAGraph
    words: tuple[Words | None, Words | None]
    output: ActOutput


class CapturedAct:
    """``act`` of one policy with one cache, on a CUDA device.

    A graph is captured for each length of memory (in steps of 128 places) and of text (in steps of
    8 tokens) when it is first met. Weights may change in place, as optimizers do; after anything
    that replaces them make a new CapturedAct. What ``act`` returns is overwritten by the next call.
    Not thread-safe.
    """

    def __init__(self, policy: Policy, cache: KVCache) -> None:
        """Prepare to act.

        Raises:
            ValueError: not on a CUDA device, or a cache with the original's shared counter, whose
                drop to zero is a decision that a graph cannot hold.
        """
        if cache.keys.device.type != "cuda" or isinstance(cache, SharedCounterCache):
            raise ValueError(
                "capturing needs a KVCache on a CUDA device, "
                f"got {type(cache).__name__} on {cache.keys.device}"
            )
        self.policy, self.cache = policy, cache
        self._graphs: dict[tuple[int, int, bool, bool], _Graph] = {}
        self._obs: Observation | None = None
        self._uniforms: Tensor | None = None
        self._tokens: Tensor | None = None
        self._words: tuple[Words | None, Words | None] = (None, None)

    @torch.inference_mode()
    def act(
        self, obs: Observation, uniforms: Tensor | None, *, with_value: bool = True
    ) -> ActOutput:
        """As Policy.act with the cache given at first; observations on any device.

        The number of environments is that of the cache.
        """
        self._load(obs, uniforms)
        used = self.cache.used() + 1
        span = min(-(-used // _SPAN_STEP) * _SPAN_STEP, self.cache.max_len)
        key = (span, self._text_length(), with_value, uniforms is None)
        step = self._graphs.get(key)
        if step is None:
            step = self._graphs[key] = self._capture(*key)
        for own, new in zip(step.words, self._words, strict=True):
            _copy_words(own, new)
        step.graph.replay()
        self.cache.count_on_host()
        return step.output

    def _load(self, obs: Observation, uniforms: Tensor | None) -> None:
        """Copy the call's inputs to where the graphs read them."""
        device = self.cache.keys.device
        if self._obs is None:
            self._obs = Observation(
                **{f.name: getattr(obs, f.name).to(device, copy=True) for f in fields(obs)}
            )
            self._uniforms = torch.zeros(len(obs.time_step), device=device)
        for field in fields(obs):
            getattr(self._obs, field.name).copy_(getattr(obs, field.name), non_blocking=True)
        if uniforms is not None and self._uniforms is not None:
            self._uniforms.copy_(uniforms, non_blocking=True)
        if self._tokens is None or not torch.equal(self._tokens, obs.tokens):
            self._tokens = obs.tokens.clone()
            self._words = self.policy.read(obs.tokens)

    def _text_length(self) -> int:
        words = self._words[0]
        if words is None:
            return 0
        length = words.features.shape[1]
        config = self.policy.instructions
        if config is not None and config.config.compat.text_padding:
            return length  # every pad counts
        return -(-length // _TEXT_STEP) * _TEXT_STEP

    def _capture(self, span: int, text: int, with_value: bool, greedy: bool) -> _Graph:
        obs, uniforms = self._obs, None if greedy else self._uniforms
        assert obs is not None  # _load came before
        words = tuple(_room_for(w, len(obs.time_step), text) for w in self._words)
        own, critics = words

        def step() -> ActOutput:
            self.cache.open_step(obs.time_step, span)
            return self.policy.decide(
                obs, own, critics, self.cache, uniforms, with_value=with_value
            )

        # Not counted, a step only writes the place that the replay writes again.
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(2):
                step()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            output = step()
            self.cache.lengths += 1
        return _Graph(graph, (own, critics), output)


def fastest_act(policy: Policy, cache: KVCache) -> Act:
    """``policy.act`` with this cache: captured where the device can, observations from anywhere."""
    device = cache.keys.device
    if device.type == "cuda" and not isinstance(cache, SharedCounterCache):
        return CapturedAct(policy, cache).act

    def act(obs: Observation, uniforms: Tensor | None, *, with_value: bool = True) -> ActOutput:
        there = None if uniforms is None else uniforms.to(device)
        return policy.act(obs.to(device), cache, there, with_value=with_value)

    return act


def _room_for(words: Words | None, num_envs: int, length: int) -> Words | None:
    """Text of every environment by itself, ``length`` tokens each: shapes that stay."""
    if words is None:
        return None
    device = words.features.device
    return Words(
        features=words.features.new_zeros(num_envs, length, words.features.shape[2]),
        lengths=torch.ones(num_envs, dtype=torch.int64, device=device),
        index=torch.arange(num_envs, device=device),
        is_ragged=True,
    )


def _copy_words(own: Words | None, new: Words | None) -> None:
    if own is None or new is None:
        return
    own.features[:, : new.features.shape[1]].copy_(new.features[new.index])
    own.lengths.copy_(new.lengths[new.index])
