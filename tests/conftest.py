"""What all tests share."""

from __future__ import annotations

from hypothesis import settings

# The first example compiles, and without the jit every one is slow: time is no law here.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
