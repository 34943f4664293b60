"""Traces on disk: the schema, the bundle's reader and writer, and synthesis."""
