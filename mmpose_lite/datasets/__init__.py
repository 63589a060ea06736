"""Reading and checking data sets, and generated data in the formats of the real ones."""

from .blank import BlankOutside
from .loading import LoadIntactImage
from .mosaic import CropMosaic

__all__ = ['BlankOutside', 'CropMosaic', 'LoadIntactImage']
