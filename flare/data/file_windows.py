"""Windows of a demonstration file (``flare collect --layout file``), which memory holds whole."""

from collections.abc import Callable, Iterator

import numpy as np

from flare.data.layout import ACTION_IDS, NO_ACTION
from flare.data.windows import Window, WindowBatch, WindowConfig, chosen_steps
from flare.imitation.demonstrations import Demonstrations
from flare.rng import keyed_bits, keyed_integers

_ORDER, _SHIFT = 32, 2  # which random number of a key decides what


class FileWindows:
    """Endless batches of windows, as WindowLoader gives them for folders of trajectories."""

    def __init__(
        self, demonstrations: Demonstrations, window: WindowConfig,
        *, batch_size: int, seed: int, rank: int = 0, num_ranks: int = 1,
    ) -> None:  # fmt: skip
        self._data, self._window, self._seed = demonstrations, window, seed
        self._batch_size, self._rank, self._num_ranks = batch_size, rank, num_ranks
        ids = np.array([ACTION_IDS[name] for name in demonstrations.action_names])
        self._actions = ids[demonstrations.actions]
        self._wanted = ids[demonstrations.expert_actions]

    def batches(
        self, first: int = 0, progress: Callable[[int], float] = lambda _: 0.0
    ) -> Iterator[WindowBatch]:
        """Each of this rank's batches from number ``first`` on."""
        number = first
        while True:
            start = (number * self._num_ranks + self._rank) * self._batch_size
            prob = self._window.last_prob_at(progress(number))
            items = range(start, start + self._batch_size)
            yield WindowBatch.of([self._read(item, prob) for item in items])
            number += 1

    def _read(self, item: int, last_prob: float) -> Window:
        data, count = self._data, self._data.num_episodes
        epoch, index = divmod(item, count)
        order = np.argsort(keyed_bits(self._seed, 0, epoch, np.arange(count), _ORDER))
        episode = int(order[index])
        rows = slice(int(data.offsets[episode]), int(data.offsets[episode + 1]))
        actions, key = self._actions[rows], (self._seed, epoch, index)
        steps = chosen_steps(actions, key, self._window, last_prob)
        room = max(self._window.time_range - len(steps), 0) + 1
        shift = int(keyed_integers(room, self._seed, 1, epoch, index, _SHIFT))
        return Window(
            frames=data.frames[rows][steps],
            actions=self._wanted[rows][steps],
            last_actions=np.where(steps == 0, NO_ACTION, actions[np.maximum(steps - 1, 0)]),
            time_ids=steps + (shift if self._window.time_range else 0),
            in_hand=data.in_hand[rows][steps],
            instruction=data.instructions[episode],
        )
