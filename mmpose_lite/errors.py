"""Errors that have no better name among Python's own."""


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be used; the message names the file and the remedy."""
