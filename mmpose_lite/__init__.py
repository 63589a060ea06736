"""Lightweight human pose networks as a plugin for MMPose 1.x.

Importing this package mends what is broken between MMPose and today's torch (``mmpose-lite info`` lists it) and
registers the networks in MMPose's registries.
"""

import warnings

from . import _compat

with warnings.catch_warnings():
    # upstream looks for packages through pkg_resources, and setuptools tells every user so
    warnings.filterwarnings('ignore', message='pkg_resources is deprecated')
    _compat.apply()  # before MMPose is imported
    from . import models

__version__ = '0.1.0'
__all__ = ['__version__', 'models']
