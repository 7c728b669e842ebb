"""The policy as an actor for play_episodes."""

import numpy as np
import torch
from numpy.typing import NDArray

from flare.policy.captured_act import fastest_act
from flare.policy.captured_encode import fastest_encode
from flare.policy.observation import Observation
from flare.policy.policy import Policy
from flare.rng import keyed_uniform
from flare.rollout.player import StepView
from flare.tasks.privileged import privileged_features
from flare.tasks.tokenizer import Tokenizer


class PolicyActor:
    """Samples (or takes the mode of) the policy's actions, with one memory per world.

    Random numbers are keyed by (seed, episode, step), never by the world that plays the episode.
    """

    def __init__(
        self,
        policy: Policy,
        vocabulary: Tokenizer,
        instructions: list[str],
        *,
        num_envs: int,
        max_steps: int,
        seed: int,
        greedy: bool = False,
    ) -> None:
        self.policy, self.seed, self.greedy = policy, seed, greedy
        self._tokens = torch.from_numpy(vocabulary.encode(instructions))
        self._max_steps = max_steps
        self._cache = policy.new_cache(num_envs, max_len=max_steps)
        self._act = fastest_act(policy, self._cache)
        self._encode = fastest_encode(policy)
        self.values = np.zeros(num_envs, np.float32)  # of the last act(), for videos
        self.probabilities = np.zeros((num_envs, policy.num_actions), np.float32)

    def begin(self, worlds: NDArray[np.int64], episodes: NDArray[np.int64]) -> None:
        """Forget the worlds' earlier episodes."""
        mask = torch.zeros(len(self.values), dtype=torch.bool)
        mask[torch.from_numpy(worlds)] = True
        self._cache.reset(mask)

    @torch.no_grad()
    def act(self, view: StepView) -> NDArray[np.int64]:
        """Policy action ids [N]."""
        idle = torch.from_numpy(view.episode < 0)
        self._cache.reset(idle)  # a world without an episode steps on and must not fill its memory
        episode = np.maximum(view.episode, 0)
        obs = Observation(
            features=self._encode(torch.from_numpy(view.frames), None),
            tokens=self._tokens[torch.from_numpy(episode)],
            prev_action=torch.from_numpy(view.prev_action),
            in_hand=torch.from_numpy((view.facts["held_object"] >= 0).astype(np.int64)),
            time_step=torch.from_numpy(np.minimum(view.time_step, self._max_steps - 1)),
            facts=torch.from_numpy(privileged_features(view.facts)),
        )
        uniforms = None
        if not self.greedy:
            uniforms = torch.from_numpy(keyed_uniform(self.seed, 0, episode, view.time_step))
        out = self._act(obs, uniforms)
        self.values = out.value.cpu().numpy()
        self.probabilities = torch.softmax(out.logits, -1).cpu().numpy()
        return out.action.cpu().numpy()
