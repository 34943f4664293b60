"""Ingest: captures and recordings of a host into a bundle."""
