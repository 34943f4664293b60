"""The general island: any queues, CPUs and threads, with every mechanism, event by event."""

from replay.engine.general.island import replay_general

__all__ = ["replay_general"]
