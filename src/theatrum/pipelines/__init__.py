"""Pipelines: their notation, their building from registered parts, and their folders on disk."""
