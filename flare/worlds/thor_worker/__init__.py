"""One AI2-THOR process's keeper: runs the real client and speaks shared memory with the trainer.

Needs the standard library, numpy and ai2thor only, and no part of flare: it also runs in a virtual
environment of its own, whose pins may clash with the trainer's.
"""
