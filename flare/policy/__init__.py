"""The actor-critic over frames, instruction, previous action and time."""
