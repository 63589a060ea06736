import numpy as np
from mmpose.registry import TRANSFORMS

CODEC = dict(type='MSRAHeatmap', input_size=(64, 64), heatmap_size=(16, 16), sigma=1)
KEYPOINTS = {  # in pixels of the crop, and whether somebody labelled it
    'inside': ((30, 20), 1),
    'outside': ((150, 20), 1),
    'inside, unlabelled': ((30, 40), 0),
    'outside, unlabelled': ((30, -90), 0),
    'just outside': ((66, 30), 1),  # its Gaussian reaches in
}


def encode(*transforms) -> dict:
    positions, labelled = zip(*KEYPOINTS.values(), strict=True)
    results = dict(
        transformed_keypoints=np.array([positions], np.float32),
        keypoints_visible=np.array([labelled], np.float32),
        dataset_keypoint_weights=np.ones(len(positions), np.float32),
    )
    results['keypoints'] = results['transformed_keypoints']
    for transform in (dict(type='GenerateTarget', encoder=CODEC), *transforms):
        results = TRANSFORMS.build(transform)(results)
    return results


def test_labelled_keypoint_outside_is_to_be_blank():
    before, after = encode(), encode(dict(type='BlankOutside'))
    names = list(KEYPOINTS)
    assert dict(zip(names, before['keypoint_weights'][0], strict=True)) == {
        'inside': 1,
        'outside': 0,
        'inside, unlabelled': 0,
        'outside, unlabelled': 0,
        'just outside': 1,
    }
    changed = before['keypoint_weights'][0] != after['keypoint_weights'][0]
    assert [name for name, differs in zip(names, changed, strict=True) if differs] == ['outside']
    assert after['keypoint_weights'].dtype == np.float32
    assert after['keypoint_weights'].shape == (1, len(names))
    assert after['keypoint_weights'][0, names.index('outside')] == 1
    blank = [not heatmap.any() for heatmap in after['heatmaps']]
    assert blank == [False, True, True, True, False]
    assert np.array_equal(before['heatmaps'], after['heatmaps'])
