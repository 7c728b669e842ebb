"""Fused kernels of the policy; installed as ``flare.kernels``. Each stands beside its reference."""
