"""Reading and checking data sets, and generated data in the formats of the real ones."""

from .blank import BlankOutside
from .loading import LoadIntactImage

__all__ = ['BlankOutside', 'LoadIntactImage']
