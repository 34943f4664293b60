"""Layouts: which queue a flow goes to, and which CPU and worker serve it."""
