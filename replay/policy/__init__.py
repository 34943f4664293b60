"""Policies: the knobs under study, their presets, and their names in text."""

from replay.policy.model import Policy
from replay.policy.parse import parse_policies, parse_policy
from replay.policy.presets import BOUNDS, PRESETS, preset

__all__ = ["BOUNDS", "PRESETS", "Policy", "parse_policies", "parse_policy", "preset"]
