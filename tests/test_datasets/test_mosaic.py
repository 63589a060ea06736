"""Other people around the person of a crop."""

from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from mmengine.dataset import DefaultSampler, pseudo_collate
from mmengine.runner import EpochBasedTrainLoop
from mmpose.registry import DATASETS
from torch.utils.data import DataLoader

from mmpose_lite.datasets import CropMosaic
from mmpose_lite.engine import ProgressSeedHook

WIDTH, HEIGHT = 60, 50
BOX = (10, 5, 50, 45)  # 40 large
BLUE, GREEN, RED = np.eye(3, dtype=np.uint8) * 255


class Neighbours:
    """One picture, blue but for its person, who is green, 10 wide and 20 high."""

    def __init__(self, folder: Path) -> None:
        image = np.full((40, 30, 3), BLUE)
        image[10:30, 8:18] = GREEN
        self.path = str(folder / 'neighbour.png')
        cv2.imwrite(self.path, image)

    def __len__(self):
        return 1

    def get_data_info(self, index: int) -> dict:
        return dict(img_path=self.path, bbox=np.float32([[8, 10, 18, 30]]))


@pytest.fixture
def neighbours(tmp_path) -> Neighbours:
    return Neighbours(tmp_path)


def sample(dataset) -> dict:
    """Noise with a red pixel at every keypoint."""
    image = np.random.default_rng(0).integers(60, 200, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    keypoints = np.float32([[[10, 5], [30, 20], [49, 44]]])
    for x, y in keypoints[0].astype(int):
        image[y, x] = RED
    return dict(
        img=image,
        img_shape=image.shape[:2],
        keypoints=keypoints,
        keypoints_visible=np.ones((1, 3), np.float32),
        bbox=np.float32([BOX]),
        bbox_center=np.float32([[30, 25]]),
        dataset=dataset,
    )


def cut(image: np.ndarray, box) -> np.ndarray:
    left, top, right, bottom = np.int64(box)
    return image[top:bottom, left:right]


@pytest.mark.parametrize('seed', range(12))
def test_annotations_stay_on_their_pixels(neighbours, seed):
    np.random.seed(seed)
    before, after = sample(neighbours), CropMosaic(prob=1)(sample(neighbours))
    assert after['img'].shape == (HEIGHT + 40, WIDTH + 40, 3)
    assert after['img'].dtype == np.uint8
    assert after['img'].flags.c_contiguous
    assert after['img_shape'] == after['img'].shape[:2]
    for x, y in after['keypoints'][0].astype(int):
        assert (after['img'][y, x] == RED).all()
    assert np.array_equal(cut(after['img'], after['bbox'][0]), cut(before['img'], BOX))
    assert np.array_equal(after['bbox_center'], after['bbox'].reshape(1, 2, 2).mean(axis=1))
    for name in ('keypoints', 'keypoints_visible', 'bbox', 'bbox_center'):
        assert after[name].shape == before[name].shape
        assert after[name].dtype == np.float32


def test_every_corner(neighbours):
    mosaic, places = CropMosaic(prob=1), set()
    np.random.seed(0)
    for _ in range(40):
        places.add(tuple(mosaic(sample(neighbours))['bbox'][0, :2] - BOX[:2]))
    assert places == {(0, 0), (40, 0), (0, 40), (40, 40)}


def green(line: np.ndarray) -> np.ndarray:
    """Where a line of pixels shows the neighbour."""
    return np.flatnonzero((line[:, 1] > 128) & (line[:, 0] < 128))


def span(indices: np.ndarray) -> tuple[int, int]:
    """First and last of what must be without gaps."""
    assert len(indices) == np.ptp(indices) + 1
    return indices[0], indices[-1]


@pytest.mark.parametrize('seed', range(8))
def test_neighbours_stand_at_the_seams_in_the_same_size(neighbours, seed):
    np.random.seed(seed)
    after = CropMosaic(prob=1)(sample(neighbours))
    image, (x, y) = after['img'], after['bbox_center'][0].astype(int)
    left, top = (after['bbox'][0, :2] - BOX[:2]).astype(int)
    own_rows, own_columns = slice(top, top + HEIGHT), slice(left, left + WIDTH)
    rows = slice(0, 40) if top else slice(HEIGHT, None)
    columns = slice(0, 40) if left else slice(WIDTH, None)
    # 10x20 becomes 20x40: beside, level with the sample's person; above or below, centred on it; in the corner
    across = (20, 39) if left else (0, 19)
    upright = (y - 20 - top, y + 19 - top)
    inside = across[0] + 10
    assert span(green(image[y, columns])) == pytest.approx(across, abs=1)
    assert span(green(image[own_rows, columns][:, inside])) == pytest.approx(upright, abs=1)
    assert span(green(image[rows, x])) == pytest.approx((0, 39), abs=1)
    assert span(green(image[rows, own_columns][20])) == pytest.approx((x - left - 10, x - left + 9), abs=1)
    corner = image[rows, columns]
    assert span(green(corner[20])) == pytest.approx(across, abs=1)
    assert span(green(corner[:, inside])) == pytest.approx((0, 39), abs=1)
    assert corner[20, 10 if left else 30].argmax() == 0  # its picture goes on behind its person


def test_share_of_the_samples(neighbours):
    np.random.seed(0)
    never, half = CropMosaic(prob=0), CropMosaic(prob=0.5)
    results = sample(neighbours)
    assert never(results) is results
    for name, value in sample(neighbours).items():
        assert np.array_equal(results[name], value)
    mixed = sum(half(sample(neighbours))['img'].shape[0] > HEIGHT for _ in range(200))
    assert 70 < mixed < 130


def test_broken_neighbour_leaves_its_place_black(neighbours):
    Path(neighbours.path).write_bytes(b'nothing')
    np.random.seed(0)
    after = CropMosaic(prob=1)(sample(neighbours))
    left, top = (after['bbox'][0, :2] - BOX[:2]).astype(int)
    own = after['img'][top : top + HEIGHT, left : left + WIDTH]
    assert np.array_equal(own, sample(neighbours)['img'])
    assert after['img'].sum() == own.sum()


# ------------------------------------------------------------------------------------------------ MMPose's pipelines


def people(root: Path, *transforms: dict, combined: bool = False):
    pipeline = [
        dict(type='LoadIntactImage'),
        *transforms,
        dict(type='GetBBoxCenterScale'),
        dict(type='TopdownAffine', input_size=(64, 64)),
        dict(type='PackPoseInputs', pack_transformed=True),
    ]
    dataset = dict(
        type='MpiiDataset', data_root=str(root), ann_file='annotations/mpii_train.json', data_prefix=dict(img='images/')
    )
    if combined:
        meta = dict(from_file='configs/_base_/datasets/mpii.py')
        dataset = dict(type='CombinedDataset', metainfo=meta, datasets=[dict(dataset, pipeline=[])])
    return DATASETS.build(dict(dataset, pipeline=pipeline))


@pytest.mark.parametrize('combined', [False, True])
def test_crop_is_the_same_within_the_picture(toy_root, combined):
    plain = people(toy_root, combined=combined)
    mixed = people(toy_root, dict(type='CropMosaic', prob=1), combined=combined)
    filled = 0
    for before, after in ((plain[index], mixed[index]) for index in range(len(plain))):
        keypoints = [item['data_samples'].gt_instances.transformed_keypoints for item in (before, after)]
        np.testing.assert_allclose(*keypoints, atol=1e-3)
        images = [item['inputs'].permute(1, 2, 0).numpy().astype(int) for item in (before, after)]
        black = (images[0] == 0).all(axis=2).astype(np.uint8)
        inside = cv2.dilate(black, np.ones((3, 3), np.uint8)) == 0
        inside[[0, -1]] = inside[:, [0, -1]] = False  # the picture may end here
        assert np.abs(images[0] - images[1])[inside].max() <= 3
        filled += images[1][black > 0].any(axis=1).sum()
    assert filled > 0


@pytest.mark.parametrize('combined', [False, True])
def test_workers_repeat_it(toy_root, combined):
    def load(workers: int, epochs: list[int]) -> list:
        dataset = people(toy_root, dict(type='CropMosaic', prob=0.7), combined=combined)
        loader = DataLoader(
            dataset,
            batch_size=4,
            num_workers=workers,
            sampler=DefaultSampler(dataset, seed=0),
            collate_fn=pseudo_collate,
        )
        loop = EpochBasedTrainLoop.__new__(EpochBasedTrainLoop)
        runner, hook = SimpleNamespace(train_loop=loop, train_dataloader=loader, seed=1, epoch=0), ProgressSeedHook()
        hook.before_train(runner)
        for runner.epoch in epochs:
            hook.before_train_epoch(runner)
            batches = [image for batch in loader for image in batch['inputs']]
        return batches

    whole, resumed = load(0, [0, 1]), load(1, [1])
    assert len(whole) == len(resumed) > 4
    assert all((first == second).all() for first, second in zip(whole, resumed, strict=True))
