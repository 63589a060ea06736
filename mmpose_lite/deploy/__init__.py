"""Networks for inference: folded, exported, verified."""

from .. import _plugin  # noqa: F401
