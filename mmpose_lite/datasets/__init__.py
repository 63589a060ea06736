"""Reading and checking data sets, and generated data in the formats of the real ones."""

from .. import _plugin  # noqa: F401
from .blur import Blur
from .loading import LoadIntactImage

__all__ = ['Blur', 'LoadIntactImage']
