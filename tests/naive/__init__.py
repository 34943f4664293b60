"""The slow, obvious reference: an island of queues, CPUs and workers, event by event."""

from tests.naive.island import replay_naively

__all__ = ["replay_naively"]
