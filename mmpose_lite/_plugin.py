"""Imported first by everything that needs torch and MMPose: names the extra where they are not installed."""

import importlib.util

MISSING = [name for name in ('torch', 'mmengine', 'mmpose') if importlib.util.find_spec(name) is None]
if MISSING:
    raise ImportError(
        f'this part of mmpose_lite needs {", ".join(MISSING)}: pip install setuptools==80.9.0 wheel cython numpy, then '
        "pip install --no-build-isolation 'mmpose_lite[mmpose]' mmcv-lite==2.1.0"
    )
