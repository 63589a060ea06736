"""The networks at small sizes, with weights that answer to what they see."""

from pathlib import Path

import mmpose
import pytest
from mmengine.config import Config
from test_inference.conftest import POSE_CONFIG, random_weights

ROOT = Path(__file__).resolve().parents[2]
MMPOSE = Path(mmpose.__file__).parent / '.mim/configs/body_2d_keypoint'
COCO = MMPOSE / 'topdown_heatmap/coco'
# config, width and height
NETWORKS = {
    'LGM-Pose': (POSE_CONFIG, (128, 128)),
    'LGM-Pose, channels': (POSE_CONFIG, (128, 128)),
    'Greit-HRNet': (ROOT / 'configs/greit_hrnet/td-hm_greit-hrnet-18_8xb32-210e_coco-256x192.py', (64, 96)),
    'HEViTPose': (ROOT / 'configs/hevitpose/td-hm_hevitpose-t_2xb64-210e_coco-256x256.py', (128, 128)),
    'HEViTPose, SimCC': (ROOT / 'configs/hevitpose/td-simcc_hevitpose-t_1xb32-210e_coco-256x256.py', (128, 128)),
    'WGNet': (ROOT / 'configs/wgnet/td-hm_wgnet_1xb32-200e_coco-256x192.py', (96, 128)),
    # of MMPose
    'Lite-HRNet': (COCO / 'td-hm_litehrnet-18_8xb64-210e_coco-256x192.py', (64, 96)),
    'ResNet-50, UDP': (COCO / 'td-hm_res50_8xb64-210e_coco-256x192.py', (64, 96)),
}


def small_config(name: str, folder: Path) -> Path:
    """A config of NETWORKS for a small input."""
    path, size = NETWORKS[name]
    config = Config.fromfile(path)
    config.test_dataloader.dataset.pipeline[2].input_size = size
    decoder = config.model.head.decoder
    decoder.input_size = size
    if decoder.type == 'SimCCLabel':
        config.model.head.update(input_size=size, in_featuremap_size=tuple(side // 16 for side in size))
    else:
        decoder.heatmap_size = tuple(side // 4 for side in size)
    if name.endswith('UDP'):
        config.model.head.decoder = dict(
            decoder, type='UDPHeatmap', blur_kernel_size=3
        )  # random weights give flat maps as it is
        config.model.test_cfg.shift_heatmap = False
        config.test_dataloader.dataset.pipeline[2].use_udp = True
    if name.endswith('channels'):
        config.model.backbone.norm_axis = 'channels'
    config.model.backbone.pop('init_cfg', None)
    path = folder / f'td-{path.stem}.py'
    config.dump(str(path))
    return path


@pytest.fixture(scope='session')
def lgm_pose(tmp_path_factory) -> tuple[Path, Path]:
    """Config and weights of the smallest network."""
    return POSE_CONFIG, random_weights(POSE_CONFIG, tmp_path_factory.mktemp('weights') / 'lgm.pth')


@pytest.fixture(scope='session')
def exported(lgm_pose, tmp_path_factory) -> Path:
    """The smallest network as a file."""
    from mmpose_lite.deploy.export import export

    return export(*lgm_pose, tmp_path_factory.mktemp('exported') / 'lgm.onnx').path
