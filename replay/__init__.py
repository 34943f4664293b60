"""Replay recorded network interrupts under other policies, and say what would have happened."""

__version__ = "0.1.0"
