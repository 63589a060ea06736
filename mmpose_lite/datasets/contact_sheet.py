"""What a network is fed, to look at: crops with their keypoints and the encoded heatmaps."""

import contextlib
import io

import cv2
import numpy as np
from mmengine.config import Config, ConfigDict
from mmpose.registry import DATASETS

COLUMNS = 2
"""Samples side by side, each a crop and the same crop under its heatmaps."""
MIN_HEIGHT = 256
"""Pixels that a crop is enlarged to."""


def _unpacked(config: Config, split: str) -> ConfigDict:
    """The split's data set without packing, and with the encoder of training where it has none."""
    data, train = (config[f'{name}_dataloader'].dataset for name in (split, 'train'))
    while 'dataset' in data:  # a wrapper that repeats or selects
        data = data.dataset
    while 'dataset' in train:
        train = train.dataset
    steps = [step for step in data.pipeline if step.type != 'PackPoseInputs']
    if not any(step.type == 'GenerateTarget' for step in steps):
        steps += [step for step in train.pipeline if step.type == 'GenerateTarget']
    data = ConfigDict(data, pipeline=steps)
    if 'bbox_file' in data:
        data.bbox_file = None  # detected people have no keypoints
    return data


def _draw_keypoints(crop: np.ndarray, sample: dict, zoom: int, metainfo: dict) -> np.ndarray:
    points = zoom * sample['transformed_keypoints'][0, :, :2]
    visible = sample['keypoints_visible'].reshape(len(points), -1)[:, 0] > 0
    picture, thickness = crop.copy(), max(1, crop.shape[0] // 256)
    places = [tuple(map(int, np.round(np.clip(point, -9999, 9999)))) for point in points]
    for (start, end), color in zip(metainfo['skeleton_links'], metainfo['skeleton_link_colors'], strict=True):
        if visible[start] and visible[end]:
            cv2.line(picture, places[start], places[end], color[::-1].tolist(), thickness, cv2.LINE_AA)
    for index in np.flatnonzero(visible):
        color = metainfo['keypoint_colors'][index][::-1].tolist()
        cv2.circle(picture, places[index], 3 * thickness, color, -1, cv2.LINE_AA)
        corner = (places[index][0] + 3 * thickness, places[index][1])
        cv2.putText(picture, str(index), corner, cv2.FONT_HERSHEY_PLAIN, 0.8, (255, 255, 255), 1, cv2.LINE_AA)
    return picture


def _draw_heatmaps(crop: np.ndarray, sample: dict) -> np.ndarray:
    if 'heatmaps' not in sample:  # another codec
        return crop // 2
    heat = np.clip(sample['heatmaps'].max(axis=0), 0, 1)
    heat = cv2.resize((255 * heat).astype(np.uint8), crop.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    return cv2.addWeighted(cv2.applyColorMap(heat, cv2.COLORMAP_INFERNO), 0.75, crop, 0.5, 0)


def draw_samples(config: Config, split: str, number: int = 8) -> np.ndarray:
    """Draw samples spread over a data set, encoded as for training.

    Args:
        config: A training config.
        split: ``'train'``, ``'val'`` or ``'test'``.
        number: Samples; fewer if the data set has fewer. One whose picture is broken is replaced by the next.

    Returns:
        BGR picture.

    Raises:
        ValueError: If no sample can be drawn.
    """
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            dataset = DATASETS.build(_unpacked(config, split))
    except Exception as error:  # the report says what is wrong
        raise ValueError(f'MMPose cannot read the annotations ({type(error).__name__}: {error})') from error
    generator_state = np.random.get_state()
    np.random.seed(0)  # the same augmentation each time
    tiles = []
    for start in np.linspace(0, len(dataset), number, endpoint=False, dtype=int):
        for index in range(start, min(start + 20, len(dataset))):
            with contextlib.suppress(Exception):  # what is wrong with it is the report's to say
                sample = dataset[index]
                height, width = sample['img'].shape[:2]
                zoom = -(-MIN_HEIGHT // height)
                crop = cv2.resize(sample['img'], (zoom * width, zoom * height))
                keypoints = _draw_keypoints(crop, sample, zoom, dataset.metainfo)
                tiles.append(np.hstack((keypoints, _draw_heatmaps(crop, sample))))
                break
    np.random.set_state(generator_state)
    if not tiles:
        raise ValueError('no sample could be drawn')
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % COLUMNS)
    rows = [np.hstack(tiles[start : start + COLUMNS]) for start in range(0, len(tiles), COLUMNS)]
    return np.vstack(rows)
