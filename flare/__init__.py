"""Fine-tune imitation-trained robot policies with large-scale PPO in house simulators."""

__version__ = "0.1.0"
