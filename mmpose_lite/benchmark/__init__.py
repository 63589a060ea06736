from .. import _plugin  # noqa: F401
