"""What is installed, what was patched, which networks are registered."""

import platform
from importlib.metadata import PackageNotFoundError, version

import mmpose_lite

PACKAGES = (
    *('torch', 'torchvision', 'numpy', 'opencv-python', 'mmengine', 'mmcv', 'mmcv-lite', 'mmdet', 'mmpose'),
    *('xtcocotools', 'pycocotools', 'onnx', 'onnxruntime', 'openvino'),
)


def installed_versions() -> dict[str, str]:
    """Version of Python, this package and everything it stands on; ``'not installed'`` where there is none."""
    versions = dict(python=platform.python_version())
    for package in ('mmpose_lite', *PACKAGES):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = 'not installed'
    return versions


def registered_networks() -> dict[str, str]:
    """Name in MMPose's MODELS registry and first line of the description, of the modules of this package."""
    from mmpose.registry import MODELS

    ours = {name: cls for name, cls in MODELS.module_dict.items() if cls.__module__.startswith('mmpose_lite.')}
    return {name: (cls.__doc__ or '').strip().splitlines()[0] for name, cls in sorted(ours.items())}


def describe() -> str:
    """Versions, patches and networks as text."""
    lines = ['Versions']
    lines += [f'  {name:14} {number}' for name, number in installed_versions().items()]
    if 'models' not in mmpose_lite.__all__:
        return '\n'.join([*lines, '', 'Without torch and MMPose, mmpose_lite.runtime only: it runs exported files.'])

    from .patches import PATCHES

    lines += ['', 'Patches of the stack']
    lines += [f'  {patch.name:22} {"applied" if patch.applied else "not needed"}: {patch.reason}' for patch in PATCHES]
    lines += ['', "Networks in MMPose's registry"]
    lines += [f'  {name:22} {text}' for name, text in registered_networks().items()]
    return '\n'.join(lines)
