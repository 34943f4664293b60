"""The engine: from arrivals, a policy and a host's costs to an outcome. Knows no files."""
