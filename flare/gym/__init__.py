"""The embedded simulator as Gymnasium environments, one for each task.

Importing this module registers ``flare/<Task>-v0`` with Gymnasium; ``gymnasium.make`` and
``gymnasium.make_vec`` import it by themselves when asked for ``flare.gym:flare/<Task>-v0``.
"""

try:
    import gymnasium
except ImportError as error:
    raise ImportError("flare.gym needs gymnasium; install the extra: flare-rl[gym]") from error

from flare.tasks.registry import TASK_NAMES

ENV_IDS = tuple(f"flare/{name}-v0" for name in TASK_NAMES)


def _register() -> None:
    for env_id, task in zip(ENV_IDS, TASK_NAMES, strict=True):
        if env_id not in gymnasium.registry:  # a reloaded module finds its own
            gymnasium.register(
                id=env_id,
                entry_point="flare.gym.env:FlareEnv",
                vector_entry_point="flare.gym.vector_env:FlareVectorEnv",
                kwargs={"task": task},
            )


_register()
