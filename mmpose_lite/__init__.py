"""Lightweight human pose networks as a plugin for MMPose 1.x.

Importing this package mends what is broken between MMPose and current packages (``mmpose-lite info`` lists it) and
registers the networks, transforms and hooks in MMPose's registries. Where torch or MMPose is not installed there is
:mod:`mmpose_lite.runtime` only, which runs exported files.
"""

import importlib.util
import warnings

from .version import __version__

__all__ = ['__version__']

# looked for and not tried: a package that is there and broken shall say so itself
if all(importlib.util.find_spec(package) for package in ('torch', 'mmpose')):
    with warnings.catch_warnings():
        # upstream looks for packages through pkg_resources, and setuptools tells every user so
        warnings.filterwarnings('ignore', message='pkg_resources is deprecated')
        from ._compat import patches

        patches.apply()  # before MMPose is imported
        from . import datasets, engine, models

    __all__ += ['datasets', 'engine', 'models']
