"""Policies: the knobs under study, their presets, and their names in text."""

from replay.policy.model import Policy
from replay.policy.parse import parse_policy
from replay.policy.presets import PRESETS, preset

__all__ = ["PRESETS", "Policy", "parse_policy", "preset"]
