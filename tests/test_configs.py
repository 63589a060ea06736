"""Every config: its form, and that what it builds trains, predicts and can be exported."""

import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmpose.registry import DATASETS, MODELS
from torch import nn

ROOT = Path(__file__).resolve().parent.parent
CONFIGS = sorted(ROOT.glob('configs/*/**/td-*.py'))
EVAL = [path for path in CONFIGS if path.parent.name == 'eval']  # other test data for the network of another config
TRAINED = [path for path in CONFIGS if path not in EVAL]
BEYOND = [path for path in TRAINED if path.parent.name == 'beyond_people']


def different_networks(paths: list[Path]) -> list[Path]:
    """One config of each network: sizes and keypoint sets apart, many build the same."""
    found = {}
    for path in paths:
        model = Config.fromfile(path).model
        parts = [dict(model.get(part, {})) for part in ('backbone', 'neck', 'head')]
        for part in parts:
            for key in ('img_size', 'out_channels', 'decoder', 'in_featuremap_size', 'input_size'):
                part.pop(key, None)
        found.setdefault(str(parts), path)
    return list(found.values())


NETWORKS = different_networks(TRAINED)
KEYPOINTS = dict(coco=17, mpii=16, toy=16, ap10k=17, wflw=98)
DATA_SETS = dict(
    coco='CocoDataset',
    mpii='MpiiDataset',
    toy='MpiiDataset',
    ap10k='AP10KDataset',
    wflw='WFLWDataset',
)


def name_of(path: Path) -> str:
    return path.stem


def size_of(path: Path) -> tuple[str, tuple[int, int]]:
    """Data set, height and width that the name announces."""
    data, height, width = re.search(
        r'_(coco|mpii|toy|ap10k|wflw)-(\d+)x(\d+)(?:_gt-boxes|_test-dev|_test)?$', path.stem
    ).groups()
    return data, (int(height), int(width))


# ------------------------------------------------------------------------------------------------ data and networks


@pytest.fixture(scope='module')
def data_root(toy_root, tmp_path_factory):
    """Generated people laid out like COCO and like MPII, with the environment variables set."""
    coco = tmp_path_factory.mktemp('coco')
    (coco / 'annotations').mkdir()
    (coco / 'person_detection_results').mkdir()
    for split in ('train', 'val'):
        shutil.copytree(toy_root / 'images', coco / f'{split}2017')
        shutil.copy(
            toy_root / 'annotations' / f'person_keypoints_{split}.json',
            coco / 'annotations' / f'person_keypoints_{split}2017.json',
        )
    shutil.copytree(toy_root / 'images', coco / 'test2017')
    val = json.loads((coco / 'annotations' / 'person_keypoints_val2017.json').read_text())
    info = {key: val[key] for key in ('images', 'categories')}
    (coco / 'annotations' / 'image_info_test-dev2017.json').write_text(json.dumps(info))
    # a detector that finds one person in every picture
    boxes = [dict(image_id=i['id'], category_id=1, bbox=[20, 20, 100, 150], score=0.9) for i in val['images']]
    for name in ('val2017_detections_AP_H_56', 'test-dev2017_detections_AP_H_609'):
        (coco / 'person_detection_results' / f'COCO_{name}_person.json').write_text(json.dumps(boxes))
    beyond = tmp_path_factory.mktemp('beyond')  # animals and faces
    shutil.copytree(toy_root / 'images', beyond / 'images')
    (beyond / 'data').symlink_to('images')
    (beyond / 'annotations').mkdir()
    for split, source in (('train', 'train'), ('val', 'val'), ('test', 'val')):
        content = json.loads((toy_root / 'annotations' / f'person_keypoints_{source}.json').read_text())
        (beyond / 'annotations' / f'ap10k-{split}-split1.json').write_text(json.dumps(content))
        for face in content['annotations']:
            (x, y, width, height), points = face['bbox'], np.random.default_rng(face['id']).random((98, 2))
            face.update(center=[x + width / 2, y + height / 2], scale=max(width, height) / 200, num_keypoints=98)
            points = np.column_stack((points * (width, height) + (x, y), np.full(98, 2)))
            face['keypoints'] = points.ravel().tolist()
        (beyond / 'annotations' / f'face_landmarks_wflw_{split}.json').write_text(json.dumps(content))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('AP10K_ROOT', str(beyond))
        patch.setenv('WFLW_ROOT', str(beyond))
        patch.setenv('COCO_ROOT', str(coco))
        patch.setenv('MPII_ROOT', str(toy_root))
        yield coco


def samples(dataset_config: dict, number: int) -> dict:
    dataset = DATASETS.build(dataset_config)
    np.random.seed(0)
    return pseudo_collate([dataset[index] for index in range(number)])


@pytest.fixture(scope='module', params=NETWORKS, ids=name_of)
def built(request, data_root) -> tuple[Path, Config, nn.Module]:
    """A config and its network, which the tests that take it share."""
    config = Config.fromfile(request.param)
    init_default_scope('mmpose')  # the fixture of conftest.py comes later than one of a module
    torch.manual_seed(0)
    model = MODELS.build(config.model)
    model.init_weights()
    return request.param, config, model


# ------------------------------------------------------------------------------------------------ form


def test_names_are_unique():
    # `mim train mmpose_lite NAME.py` looks for a name in all folders
    names = Counter(path.name for path in ROOT.glob('configs/**/*.py'))
    assert [name for name, number in names.items() if number > 1] == []


@pytest.mark.parametrize('path', CONFIGS, ids=name_of)
def test_short_and_named_after_what_it_does(path, data_root):
    assert len(path.read_text().splitlines()) <= 60
    config = Config.fromfile(path)
    data, (height, width) = size_of(path)
    dataset = config.train_dataloader.dataset
    assert dataset.type == DATA_SETS[data]
    gpus, batch, epochs = map(int, re.search(r'_(\d+)xb(\d+)-(\d+)e_', path.stem).groups())
    assert config.train_cfg.max_epochs == epochs
    assert config.train_dataloader.batch_size == batch
    if data != 'toy':
        assert config.auto_scale_lr.base_batch_size == gpus * batch
    assert config.model.head.out_channels == KEYPOINTS[data]

    def of(steps: list[dict], kind: str) -> dict:
        return next(step for step in steps if step['type'] == kind)

    # the size is the same wherever it appears
    input_size = (width, height)
    val = config.val_dataloader.dataset.pipeline
    assert tuple(of(dataset.pipeline, 'TopdownAffine')['input_size']) == input_size
    assert tuple(of(val, 'TopdownAffine')['input_size']) == input_size
    assert of(dataset.pipeline, 'GenerateTarget')['encoder'] == config.model.head.decoder
    assert tuple(config.model.head.decoder.input_size) == input_size
    if config.model.head.type == 'HeatmapHead':
        assert tuple(config.model.head.decoder.heatmap_size) == (width // 4, height // 4)
    assert tuple(config.model.backbone.get('img_size', (height, width))) == (height, width)


def test_all_load_and_build_in_a_fresh_process(data_root):
    code = """
import sys
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
for path in sys.argv[1:]:
    config = Config.fromfile(path)
    init_default_scope(config.default_scope)
    MODELS.build(config.model)
    print(path)
"""
    command = [sys.executable, '-W', 'ignore', '-c', code, *map(str, CONFIGS)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=data_root)
    assert result.returncode == 0, [*result.stdout.splitlines()[-1:], result.stderr]
    assert set(map(str, CONFIGS)) <= set(result.stdout.splitlines())


# ------------------------------------------------------------------------------------------------ your data


@pytest.mark.parametrize('path', [path for path in CONFIGS if path not in BEYOND], ids=name_of)
def test_one_variable_points_at_the_data(path, monkeypatch):
    monkeypatch.setenv('COCO_ROOT', '/elsewhere/coco')
    monkeypatch.setenv('MPII_ROOT', '/elsewhere/mpii')
    config = Config.fromfile(path)
    test_dev = path.stem.endswith('test-dev')
    gt_boxes = path.stem.endswith('gt-boxes') or path.parent.name == 'weights'
    train, val, test = (config[f'{name}_dataloader'].dataset for name in ('train', 'val', 'test'))
    # MMPose joins ann_file and the image prefix with data_root
    if train.type == 'MpiiDataset':
        assert {dataset.data_root for dataset in (train, val, test)} == {'/elsewhere/mpii'}
        assert (train.ann_file, val.ann_file) == ('annotations/mpii_train.json', 'annotations/mpii_val.json')
        assert val.headbox_file == '/elsewhere/mpii/annotations/mpii_gt_val.mat'
        assert {dataset.data_prefix.img for dataset in (train, val, test)} == {'images/'}
        mpii_test = dict(type='MpiiTestDataset', ann_file='annotations/mpii_test.json', headbox_file=None)
        assert test == val | (mpii_test if path.stem.endswith('_test') else {})
        return
    assert {dataset.data_root for dataset in (train, val, test)} == {'/elsewhere/coco'}
    assert train.ann_file == 'annotations/person_keypoints_train2017.json'
    assert (val.ann_file, val.data_prefix.img) == ('annotations/person_keypoints_val2017.json', 'val2017/')
    assert config.val_evaluator.ann_file == f'/elsewhere/coco/{val.ann_file}'
    detected = '/elsewhere/coco/person_detection_results/COCO_{}_person.json'
    assert val.bbox_file == (None if gt_boxes else detected.format('val2017_detections_AP_H_56'))
    if not test_dev:
        mpii_test = dict(type='MpiiTestDataset', ann_file='annotations/mpii_test.json', headbox_file=None)
        assert test == val | (mpii_test if path.stem.endswith('_test') else {})
        assert config.test_evaluator == config.val_evaluator
        return
    assert (test.ann_file, test.data_prefix.img) == ('annotations/image_info_test-dev2017.json', 'test2017/')
    assert test.bbox_file == detected.format('test-dev2017_detections_AP_H_609')
    assert test.pipeline == val.pipeline
    assert config.test_evaluator.ann_file == f'/elsewhere/coco/{test.ann_file}'
    assert config.test_evaluator.format_only
    assert config.test_evaluator.outfile_prefix == f'work_dirs/{path.stem}/test-dev'


@pytest.mark.parametrize('path', BEYOND, ids=name_of)
def test_animals_and_faces_are_trained_and_scored(path, data_root, tmp_path):
    config = Config.fromfile(path)
    data, _ = size_of(path)
    root = os.environ[f'{data.upper()}_ROOT']
    loaders = [config[f'{name}_dataloader'] for name in ('train', 'val', 'test')]
    assert {loader.dataset.type for loader in loaders} == {DATA_SETS[data]}
    assert {loader.dataset.data_root for loader in loaders} == {root}
    scores = quick_test(path, tmp_path)
    assert list(scores) == ['NME'] if data == 'wflw' else 'coco/AP' in scores
    assert config.default_hooks.checkpoint.save_best in scores
    assert config.default_hooks.checkpoint.rule == ('less' if data == 'wflw' else 'greater')


def test_every_network_has_configs_for_other_boxes_and_test_dev():
    networks = {path.parent.name for path in ROOT.glob('configs/*/metafile.yml')}
    for kind in ('gt-boxes', 'test-dev'):
        assert {path.parent.parent.name for path in EVAL if path.stem.endswith(kind)} == networks


def quick_test(path: Path, work_dir: Path) -> dict:
    config = Config.fromfile(path)
    config.test_dataloader.update(num_workers=0, persistent_workers=False)
    config.work_dir, config.log_level = str(work_dir), 'ERROR'
    return Runner.from_cfg(config).test()


def test_test_dev_writes_a_file_for_the_server(data_root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # results go to work_dirs/ of the current folder
    path = ROOT / 'configs' / 'lgm_pose' / 'eval' / 'td-hm_lgm-pose_1xb32-260e_coco-384x288_test-dev.py'
    assert quick_test(path, tmp_path) == {}
    results = json.loads((tmp_path / 'work_dirs' / path.stem / 'test-dev.keypoints.json').read_text())
    info = json.loads((data_root / 'annotations' / 'image_info_test-dev2017.json').read_text())
    assert {result['image_id'] for result in results} == {image['id'] for image in info['images']}
    assert all(len(result['keypoints']) == 3 * 17 for result in results)


def test_ground_truth_boxes_and_detected_ones(data_root, tmp_path):
    folder = ROOT / 'configs' / 'lgm_pose'
    name = 'td-hm_lgm-pose_1xb32-260e_coco-256x192'
    annotations = json.loads((data_root / 'annotations' / 'person_keypoints_val2017.json').read_text())
    with_keypoints = [person for person in annotations['annotations'] if person['num_keypoints'] > 0]

    def size_and_first_box(path: Path) -> tuple[int, list[float]]:
        dataset = DATASETS.build(Config.fromfile(path).test_dataloader.dataset)
        return len(dataset), dataset.get_data_info(0)['bbox'][0].tolist()

    number, box = size_and_first_box(folder / 'eval' / f'{name}_gt-boxes.py')
    x, y, width, height = with_keypoints[0]['bbox']
    assert number == len(with_keypoints)
    np.testing.assert_allclose(box, (x, y, x + width, y + height), atol=1)  # MMPose clips to the picture
    number, box = size_and_first_box(folder / f'{name}.py')
    assert number == len(annotations['images'])
    assert box == [20, 20, 120, 170]
    assert 'coco/AP' in quick_test(folder / 'eval' / f'{name}_gt-boxes.py', tmp_path)


@pytest.mark.parametrize('path', EVAL, ids=name_of)
def test_other_test_data_leave_the_network_alone(path):
    config, leaf = Config.fromfile(path), Config.fromfile(path.parents[1] / f'{path.stem.rsplit("_", 1)[0]}.py')
    assert config.model == leaf.model
    assert config.train_dataloader == leaf.train_dataloader


# ------------------------------------------------------------------------------------------------ train and predict


def test_maps_have_their_size(built):
    path, config, model = built
    data, (height, width) = size_of(path)
    with torch.no_grad():
        maps = model.eval()._forward(torch.zeros(2, 3, height, width))
    if config.model.head.type == 'HeatmapHead':
        assert maps.shape == (2, KEYPOINTS[data], height // 4, width // 4)
    else:  # SimCC: one vector per axis, two bins per pixel
        assert [tuple(axis.shape) for axis in maps] == [(2, KEYPOINTS[data], 2 * side) for side in (width, height)]


def test_flip_test_predicts(built):
    path, config, model = built
    batch = samples(config.test_dataloader.dataset, 1)
    seen = []
    handle = model.backbone.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        (sample,) = model.eval().test_step(batch)
    handle.remove()
    assert len(seen) == 2
    assert torch.equal(seen[0].flip(-1), seen[1])
    keypoints = sample.pred_instances.keypoints
    assert keypoints.shape == (1, KEYPOINTS[size_of(path)[0]], 2)
    # decoded into the picture's coordinates: inside the padded box that was cropped, or (nothing seen) just outside
    center, scale = sample.metainfo['input_center'], sample.metainfo['input_scale']
    assert (np.abs(keypoints - center) <= 0.55 * scale).all()
    assert np.isfinite(sample.pred_instances.keypoint_scores).all()


def test_loss_reaches_every_parameter(built):
    _, config, model = built
    model.train().zero_grad()
    batch = model.data_preprocessor(samples(config.train_dataloader.dataset, 2), training=True)
    loss, values = model.parse_losses(model(**batch, mode='loss'))
    loss.backward()
    assert loss.item() > 0
    assert loss.isfinite()
    assert 'loss_kpt' in values
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()] == []


# ------------------------------------------------------------------------------------------------ deployed


class Deployed(nn.Module):
    """Images in, one tensor out: maps, or the two vectors of a SimCC head end to end."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps = self.model._forward(images)
        return maps if isinstance(maps, torch.Tensor) else torch.cat(maps, dim=2)


@pytest.fixture(scope='module', params=NETWORKS, ids=name_of)
def small(request) -> tuple[nn.Module, dict, torch.Tensor]:
    """The network of a config at a half or third of its size, with lively weights and batch norms; three images."""
    config = Config.fromfile(request.param)
    _, size = size_of(request.param)
    divisor = 2 if all(side % 64 == 0 for side in size) else 3
    height, width = (side // divisor for side in size)
    if 'img_size' in config.model.backbone:
        config.model.backbone.img_size = (height, width)
    if config.model.head.type == 'RTMCCHead':
        config.model.head.input_size = (width, height)
        config.model.head.in_featuremap_size = tuple(s // divisor for s in config.model.head.in_featuremap_size)
    init_default_scope('mmpose')
    torch.manual_seed(0)
    model = MODELS.build(config.model)
    model.init_weights()
    nn.init.normal_(model.head.final_layer.weight)  # which starts maps as good as blank
    images = torch.randn(3, 3, height, width)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # statistics of these very images
    with torch.no_grad():
        model.train()._forward(images)
    return Deployed(model).eval(), config.model, images


def test_state_dict_round_trip(small):
    deployed, config, images = small
    file = io.BytesIO()
    torch.save(deployed.model.state_dict(), file)
    file.seek(0)
    other = MODELS.build(config)
    other.load_state_dict(torch.load(file, weights_only=True))
    with torch.no_grad():
        assert torch.equal(Deployed(other).eval()(images), deployed(images))


def test_images_of_a_batch_do_not_mix(small):
    model, _, images = small
    with torch.no_grad():
        together, alone = model(images), model(images[1:2])
        changed = model(torch.cat((-images[:1], images[1:2], -images[2:])))
    scale = together.abs().max().item()
    torch.testing.assert_close(together[1:2], alone, rtol=0, atol=1e-5 * scale)
    torch.testing.assert_close(changed[1:2], together[1:2], rtol=0, atol=1e-5 * scale)
    assert not torch.allclose(changed[:1], together[:1], rtol=0, atol=1e-3 * scale)


def test_bfloat16_is_close(small):
    model, _, images = small
    with torch.no_grad():
        expected = model(images)
        with torch.autocast('cpu', torch.bfloat16):
            half = model(images).float()
    # 8 bits of mantissa through up to 300 layers of random weights, each normalized to these images: 0.22 at worst
    assert (half - expected).norm() < 0.3 * expected.norm()


# tracing takes seconds: one config of each kind of block, neck and head
TRACED = r"""hevitpose-t_1xb32-210e_|efficientvit-m4-peow7|greit-hrnet-18_8xb32-210e_coco-256x192|
    lgm-pose(-fusion-conv|-no-fusion|-mobilevit-block)?_1xb32-260e|wgnet_1xb32-200e_coco"""


@pytest.mark.parametrize(
    'small', [path for path in NETWORKS if re.search(TRACED, path.stem, re.VERBOSE)], ids=name_of, indirect=True
)
def test_trace_and_export_with_any_batch(small):
    model, _, images = small
    with torch.no_grad():
        expected = model(images)
        scale = expected.abs().max().item()
        traced = torch.jit.trace(model, images[:2], check_trace=False)
        batch = torch.export.Dim('batch', min=1, max=8)
        exported = torch.export.export(model, (images[:2],), dynamic_shapes=({0: batch},), strict=False).module()
        for number in (1, 3):
            torch.testing.assert_close(traced(images[:number]), expected[:number], rtol=0, atol=1e-4 * scale)
            torch.testing.assert_close(exported(images[:number]), expected[:number], rtol=0, atol=1e-4 * scale)
