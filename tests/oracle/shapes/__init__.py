"""The shapes of waiting, by what is waited for."""

from . import chains, executors, kinds, locks, loops, pipes, sync, trees  # noqa: F401
