"""Commands: Typer signatures only, each calling the Python API."""
