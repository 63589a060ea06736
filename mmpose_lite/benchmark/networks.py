"""The networks that are measured: ours and MMPose's own, with what metafiles report of them.

Weights are random and nothing is downloaded. Batch norms get the statistics of noise: with fresh ones, what deep
networks answer hardly depends on the image (MobileNetV2's not at all), and nobody would see that a runtime errs.
"""

import importlib.util
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
import yaml
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..files import zoo_root

# name -> title, network's metafiles (COCO, then MPII where there is one) and the start of its configs' names
_OURS = {
    'lgm-pose': ('LGM-Pose', 'lgm_pose', 'td-hm_lgm-pose_1xb32-260e_'),
    'hevitpose-t': ('HEViTPose-T', 'hevitpose', 'td-hm_hevitpose-t_'),
    'hevitpose-s': ('HEViTPose-S', 'hevitpose', 'td-hm_hevitpose-s_'),
    'hevitpose-b': ('HEViTPose-B', 'hevitpose', 'td-hm_hevitpose-b_'),
    'greit-hrnet-18': ('Greit-HRNet-18', 'greit_hrnet', 'td-hm_greit-hrnet-18_'),
    'greit-hrnet-30': ('Greit-HRNet-30', 'greit_hrnet', 'td-hm_greit-hrnet-30_'),
    'wgnet': ('WGNet', 'wgnet', 'td-hm_wgnet_'),
}
_PEERS = {
    'lite-hrnet-18': ('Lite-HRNet-18', 'litehrnet', 'td-hm_litehrnet-18_'),
    'lite-hrnet-30': ('Lite-HRNet-30', 'litehrnet', 'td-hm_litehrnet-30_'),
    'mobilenetv2': ('MobileNetV2', 'mobilenetv2', 'td-hm_mobilenetv2_'),
    'shufflenetv2': ('ShuffleNetV2', 'shufflenetv2', 'td-hm_shufflenetv2_'),
    'resnet-50': ('ResNet-50', 'resnet', 'td-hm_res50_8xb'),
    'hrnet-w32': ('HRNet-W32', 'hrnet', 'td-hm_hrnet-w32_8xb'),
    'hrformer-s': ('HRFormer-S', 'hrformer', 'td-hm_hrformer-small_'),
    'vitpose-s': ('ViTPose-S', 'vitpose', 'td-hm_ViTPose-small_'),
    'rtmpose-t': ('RTMPose-t', 'rtmpose', 'rtmpose-t_8xb256-420e_coco'),
    'rtmpose-s': ('RTMPose-s', 'rtmpose', 'rtmpose-s_8xb256-420e_coco'),
    'rtmpose-m': ('RTMPose-m', 'rtmpose', 'rtmpose-m_8xb256-420e_coco'),
}
NAMES = (*_OURS, *_PEERS)
Size = tuple[int, int]


@dataclass(frozen=True)
class Network:
    """A network at an input size.

    Args:
        name: One of ``NAMES``.
        size: Height and width of the input in pixels.
    """

    name: str
    size: Size

    def __str__(self) -> str:
        return f'{self.name}@{self.size[0]}x{self.size[1]}'

    @property
    def ours(self) -> bool:
        """Whether it is this package's, and not MMPose's."""
        return self.name in _OURS

    @property
    def title(self) -> str:
        """Its name for readers, without the size."""
        return (_OURS | _PEERS)[self.name][0]

    @property
    def config(self) -> Path:
        """The config of this size, COCO's first; else the first one, whose network then gets this size."""
        models = _models(self.name)
        return next((model['config'] for model in models if model['size'] == self.size), models[0]['config'])

    @property
    def accuracy(self) -> dict[str, float]:
        """What is reported in percent: COCO val AP at 256x192 and MPII PCKh@0.5 at 256x256, where it is."""
        keys = {('COCO', (256, 192), 'AP'): 'COCO AP', ('MPII', (256, 256), 'Mean'): 'MPII PCKh'}
        found = {}
        for (dataset, size, metric), key in keys.items():
            for model in _models(self.name):
                for result in model['results'] if model['size'] == size else ():
                    if result['Dataset'] == dataset:
                        found.setdefault(key, round(100 * result['Metrics'][metric], 1))
        return found


def parse(text: str, size: Size) -> Network:
    """Read ``NAME`` or ``NAME@256x192``; without a size it gets ``size``.

    Raises:
        ValueError: Lists the known names.
    """
    name, _, own = text.partition('@')
    if name not in NAMES:
        raise ValueError(f'unknown model {name!r}: choose from {", ".join(NAMES)} (with @256x256 for another size)')
    return Network(name, parse_size(own) if own else size)


def parse_size(text: str) -> Size:
    """Read ``'256x192'``, height first as in the configs' names.

    Raises:
        ValueError: If it is no size.
    """
    match = re.fullmatch(r'([1-9]\d*)x([1-9]\d*)', text)
    if not match:
        raise ValueError(f'{text!r} is no input size: give height x width, for example 256x192')
    return int(match[1]), int(match[2])


@cache
def _models(name: str) -> list[dict]:
    """Config, size and results of a network's models, from its metafiles, those trained on COCO first."""
    if name in _OURS:
        _, folder, start = _OURS[name]
        root, metafiles = zoo_root(), [zoo_root() / f'configs/{folder}/metafile.yml']
    else:
        from mmengine.utils import get_installed_path

        _, family, start = _PEERS[name]
        root = Path(get_installed_path('mmpose')) / '.mim'
        # the second * is the data set
        kind = 'rtmpose' if family == 'rtmpose' else 'topdown_heatmap'
        metafiles = sorted(root.glob(f'configs/body_2d_keypoint/{kind}/*/{family}_*.yml'))
        metafiles = [path for path in metafiles if path.stem in (f'{family}_coco', f'{family}_mpii')]
    models = []
    for path in metafiles:
        for model in yaml.safe_load(path.read_text('utf-8'))['Models']:
            size = re.search(r'(\d+)x(\d+)$', model['Name'])
            if model['Name'].startswith(start) and size:
                models.append(
                    dict(
                        config=root / model['Config'],
                        size=(int(size[1]), int(size[2])),
                        results=model.get('Results') or [],
                    )
                )
    if not models:
        raise FileNotFoundError(f'no config {start}*.py of {name} in {root}: install mmpose (or mmpose_lite) again')
    return sorted(models, key=lambda model: 'coco' not in model['config'].name)


def build(network: Network, device: str = 'cpu') -> nn.Module:
    """Build a network as MMPose's ``init_model`` does, in eval mode, the same weights each time.

    Batch norms get the statistics of noise, so that activations keep their size through any depth.

    Raises:
        ImportError: If MMPose needs another package for it.
    """
    from mmengine.config import Config
    from mmpose.apis import init_model

    config = Config.fromfile(network.config)
    if str(config.model.backbone.type).startswith('mmpretrain.') and not importlib.util.find_spec('mmpretrain'):
        raise ImportError(f'MMPose builds {network.title} from mmpretrain: pip install "mmpretrain>=1,<2"')
    torch.manual_seed(0)
    model = init_model(config, device=device)
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    with torch.no_grad():
        for norm in norms:
            norm.momentum = 1.0
            norm.weight.mul_(0.5)
        model.train()._forward(torch.randn(4, 3, *network.size).to(device))
        for norm in norms:
            norm.running_var.clamp_(min=1e-3)  # what hardly varies in noise would be blown up
    return model.eval()
