"""Errors that have no better name among Python's own, and checks of arguments."""


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be used; the message names the file and the remedy."""


def check_threshold(name: str, value: float) -> float:
    """A threshold that can be met.

    Raises:
        ValueError: If it is not from 0 to 1.
    """
    if not 0 <= value <= 1:  # NaN neither
        raise ValueError(f'{name} {value} must be from 0 to 1')
    return value
