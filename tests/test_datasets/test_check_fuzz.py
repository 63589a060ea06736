"""Annotation files that are wrong in any way: check-data never raises, and what it passes can be scored."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mmengine.config import ConfigDict
from mmpose.evaluation.metrics import CocoMetric
from mmpose.registry import DATASETS

from mmpose_lite.datasets.check import check_dataset
from mmpose_lite.datasets.contact_sheet import draw_samples

VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from(
        [10**40, 0.5, 17.0, float('nan'), float('inf'), '', 'person', '17', '\ud800', '\0', [], {}, [[1, 2, 2]]]
    ),
)


@pytest.fixture(scope='module')
def content(toy_root) -> dict:
    """Three pictures and their people."""
    whole = json.loads((toy_root / 'annotations' / 'person_keypoints_train.json').read_text())
    images = whole['images'][:3]
    ids = {image['id'] for image in images}
    return dict(whole, images=images, annotations=[a for a in whole['annotations'] if a['image_id'] in ids])


def places(value, path=()):
    """Where something can be changed: (the keys that lead there)."""
    if path:
        yield path
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(min(len(value), 8)):
            yield from places(value[key], (*path, key))


def holder(content, path):
    for key in path[:-1]:
        content = content[key]
    return content


@st.composite
def changes(draw):
    """What to do, where (a number that chooses among the places), and with what."""
    kinds = 'delete', 'replace', 'nest', 'text', 'double'
    return [
        (draw(st.sampled_from(kinds)), draw(st.integers(0, 10**6)), draw(VALUES))
        for _ in range(draw(st.integers(1, 3)))
    ]


def change(content: dict, steps) -> dict:
    content = copy.deepcopy(content)
    for kind, number, value in steps:
        everywhere = [path for path in places(content) if path[0] in ('images', 'annotations', 'categories')]
        if not everywhere:
            break
        path = everywhere[number % len(everywhere)]
        inside, key = holder(content, path), path[-1]
        if kind == 'delete':
            del inside[key]
        else:
            new = dict(replace=value, nest=[inside[key]], text=str(inside[key]), double=[inside[key], inside[key]])
            inside[key] = new[kind]
    return content


def dataset_config(root: Path, file: Path) -> ConfigDict:
    return ConfigDict(
        type='CocoDataset', data_prefix=dict(img=f'{root}/images/'), ann_file=str(file), pipeline=[], test_mode=True
    )


def score(config: ConfigDict) -> dict:
    """As a validation in which every pose is right."""
    dataset = DATASETS.build(config)
    scores = []
    for ann_file in (str(config.ann_file), None):
        metric = CocoMetric(ann_file=ann_file)
        metric.dataset_meta = dataset.metainfo
        for info in (dataset.get_data_info(index) for index in range(len(dataset))):
            found = dict(keypoints=info['keypoints'], keypoint_scores=np.ones(info['keypoints'].shape[:2]))
            truth = dict(bboxes=info['bbox'], bbox_scores=info['bbox_score'], bbox_scales=np.ones((1, 2)) * 99)
            sample = dict(info, ori_shape=(99, 99), pred_instances=found, gt_instances=truth)
            metric.process({}, [sample])
        scores.append(metric.evaluate(len(dataset))['coco/AP'])
    return scores


def checked(config: ConfigDict, file: Path):
    """The report; ``None`` for what is no file of the kind at all, which must be said with its name."""
    try:
        return check_dataset(config)
    except ValueError as error:
        if file.name not in str(error):
            raise
        return None


def passes_or_is_named(root: Path, file: Path, content) -> bool:
    """Whether check-data is content; then it can be scored."""
    file.write_text(json.dumps(content))
    config = dataset_config(root, file)
    report = checked(config, file)
    if report is None:
        return False
    report.as_text().encode('utf-8', 'backslashreplace')
    json.dumps(report.as_dict())
    if report.clean:
        assert min(score(config)) > 0.99
    return report.clean


@settings(derandomize=True, max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=changes())
def test_annotations(toy_root, tmp_path_factory, content, steps):
    file = tmp_path_factory.getbasetemp() / 'fuzzed.json'
    passes_or_is_named(toy_root, file, change(content, steps))


def test_the_whole_file_passes(toy_root, tmp_path, content):
    """So the harness can tell."""
    assert passes_or_is_named(toy_root, tmp_path / 'whole.json', content)
    for image in content['images']:
        assert image


@settings(derandomize=True, max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=changes())
def test_mpii(toy_root, tmp_path_factory, steps):
    people = json.loads((toy_root / 'annotations' / 'mpii_train.json').read_text())[:3]
    people = change(dict(annotations=people), steps).get('annotations', [])
    file = tmp_path_factory.getbasetemp() / 'fuzzed_mpii.json'
    file.write_text(json.dumps(people))
    config = ConfigDict(
        type='MpiiDataset', data_prefix=dict(img=f'{toy_root}/images/'), ann_file=str(file), pipeline=[]
    )
    checked(config, file)


def test_sheet_of_nothing():
    from mmengine.config import Config

    config = Config(dict(train_dataloader=dict(dataset=dict(type='CocoDataset', ann_file='none.json', pipeline=[]))))
    with pytest.raises(ValueError, match=r'none\.json'):
        draw_samples(config, 'train')
