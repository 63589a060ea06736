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


def encode(*transforms, **changes) -> dict:
    positions, labelled = zip(*KEYPOINTS.values(), strict=True)
    results = dict(
        transformed_keypoints=np.array([positions], np.float32),
        keypoints_visible=np.array([labelled], np.float32),
        dataset_keypoint_weights=np.ones(len(positions), np.float32),
    )
    results.update(keypoints=np.maximum(results['transformed_keypoints'], 0), img_shape=(200, 200))
    results.update(changes)
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


def test_labelled_keypoint_beyond_the_picture_is_to_be_blank():
    """A crop of a portrait ends below the picture: no hips are to be drawn on the black there."""
    after = encode(dict(type='BlankOutside'), img_shape=(35, 28, 3))
    blank = [not heatmap.any() for heatmap in after['heatmaps']]
    assert blank == [True] * len(KEYPOINTS)
    assert after['keypoint_weights'].tolist() == [[1, 1, 0, 0, 1]]
    above = encode(dict(type='BlankOutside'), keypoints=np.array([[(30, -1)] + [(30, 20)] * 4], np.float32))
    assert not above['heatmaps'][0].any()
    assert above['heatmaps'][4].any()
