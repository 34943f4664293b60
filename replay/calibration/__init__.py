"""Where a host's constants come from: a recording's events, or counters and a fit."""
