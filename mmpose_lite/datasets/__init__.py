"""Reading and checking data sets, and generated data in the formats of the real ones."""

from .. import _plugin  # noqa: F401
from .blank import BlankOutside
from .blur import Blur
from .loading import LoadIntactImage
from .mosaic import CropMosaic

__all__ = ['BlankOutside', 'Blur', 'CropMosaic', 'LoadIntactImage']
