"""Fuzz targets of the binary parsers; see README.md beside this file."""
