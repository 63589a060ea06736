"""The pipeline finds what MMPose's own inference finds, whatever shares its batches."""

import logging

import numpy as np
import pytest
import torch
from mmcv.cnn import ConvModule
from mmengine.config import Config
from mmpose.apis import inference_topdown, init_model
from mmpose.codecs import MSRAHeatmap
from mmpose.structures import PoseDataSample
from torch import nn

from mmpose_lite.fold.fold import fuse_batch_norms
from mmpose_lite.inference import Frame, PoseNetwork, Poses, TopdownPipeline, whole_image
from mmpose_lite.torch_backend.network import decode_heatmaps

from .conftest import POSE_CONFIG, ROOT, boxes_of, random_weights

CONFIGS = {
    'lgm_pose': POSE_CONFIG,
    'wgnet': ROOT / 'configs/wgnet/td-hm_wgnet_1xb32-200e_coco-256x192.py',
    'greit_hrnet': ROOT / 'configs/greit_hrnet/td-hm_greit-hrnet-18_8xb32-210e_coco-256x192.py',
    'hevitpose': ROOT / 'configs/hevitpose/td-hm_hevitpose-t_2xb64-210e_coco-256x256.py',
    'hevitpose, SimCC head': ROOT / 'configs/hevitpose/td-simcc_hevitpose-t_1xb32-210e_coco-256x256.py',
}


def with_mmpose(model, images, boxes) -> list[tuple[np.ndarray, np.ndarray]]:
    """Keypoints and scores of every image by inference_topdown."""
    found = []
    for image, rows in zip(images, boxes, strict=True):
        # without boxes it would take the whole image
        people = [s.pred_instances for s in inference_topdown(model, image, rows[:, :4])] if len(rows) else []
        found.append([np.concatenate([p[name] for p in people] or [[]]) for name in ('keypoints', 'keypoint_scores')])
    return found


def assert_same(poses: list[Poses], expected: list) -> None:
    for found, (keypoints, scores) in zip(poses, expected, strict=True):
        assert len(found) == len(keypoints)
        if len(found):
            np.testing.assert_allclose(found.keypoints, keypoints, atol=0.01)
            np.testing.assert_allclose(found.keypoint_scores, scores, atol=1e-4)
            assert keypoints.std() > 5  # the networks do answer to what they see


@pytest.mark.parametrize('name', CONFIGS)
def test_same_keypoints_as_mmpose(name, scenes, tmp_path):
    """Several people, boxes partly outside the image, an image with nobody, flip test on and off."""
    config = CONFIGS[name]
    checkpoint = random_weights(config, tmp_path / 'pose.pth')
    images = [scenes[0].image, scenes[1].image, scenes[2].image]
    beyond = np.array([[-30, -20, 60, 90, 0.5], [150, 90, 260, 220, 0.5]], dtype=np.float32)
    boxes = [beyond, np.zeros((0, 5), np.float32), boxes_of(scenes[2])]
    model = init_model(Config.fromfile(config), str(checkpoint), device='cpu')
    for flip_test in (False, True):
        model.test_cfg['flip_test'] = flip_test
        pipeline = TopdownPipeline(PoseNetwork(config, checkpoint, flip_test=flip_test), batch_size=3)
        assert pipeline.network.decodes_batches == ('SimCC' not in name)
        assert_same(pipeline.estimate(images, boxes), with_mmpose(model, images, boxes))
    if pipeline.network.decodes_batches:  # the same again, from the network that is traced when a shape keeps coming
        pipeline.network.forward.calls_before = 2
        assert_same(pipeline.estimate(images, boxes), with_mmpose(model, images, boxes))
        assert_same(pipeline.estimate(images[::-1], boxes[::-1]), with_mmpose(model, images[::-1], boxes[::-1]))
        assert pipeline.network.forward.traced


@pytest.mark.parametrize(
    'codec',
    [
        dict(type='MSRAHeatmap', input_size=(64, 96), heatmap_size=(16, 24), sigma=2, unbiased=True),
        dict(type='UDPHeatmap', input_size=(64, 96), heatmap_size=(16, 24), sigma=2),
    ],
)
def test_other_codecs(codec, scenes, tmp_path):
    """DARK and UDP decoding, UDP's own crops, a non-square input, flip test as the config says."""
    config = Config.fromfile(POSE_CONFIG)
    config.model.backbone.img_size = (96, 64)
    config.model.head.decoder = codec
    config.test_dataloader.dataset.pipeline[2].update(input_size=(64, 96), use_udp=codec['type'] == 'UDPHeatmap')
    config.dump(str(tmp_path / 'td.py'))
    checkpoint = random_weights(config, tmp_path / 'pose.pth')
    model = init_model(config, str(checkpoint), device='cpu')
    images, boxes = [scenes[1].image], [boxes_of(scenes[1])]
    pipeline = TopdownPipeline(PoseNetwork(tmp_path / 'td.py', checkpoint))
    assert not pipeline.network.decodes_batches
    assert_same(pipeline.estimate(images, boxes), with_mmpose(model, images, boxes))


def test_batch_norms_are_fused():
    """Where they follow a convolution in a ConvModule or Sequential; a conv of two norms keeps both meanings."""
    shared = nn.Conv2d(3, 8, 3)
    model = nn.Sequential(
        nn.Sequential(shared, nn.BatchNorm2d(8), nn.ReLU()),
        ConvModule(8, 3, 3, norm_cfg=dict(type='BN'), act_cfg=dict(type='SiLU')),
        nn.Sequential(shared, nn.BatchNorm2d(8)),
        nn.Sequential(nn.ReLU(), nn.BatchNorm2d(8)),
        ConvModule(8, 8, 3, norm_cfg=dict(type='BN'), order=('norm', 'conv', 'act')),
    )
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values in (module.running_mean, module.weight.data, module.bias.data):
                values.normal_()
            module.running_var.uniform_(0.5, 2)
    image = torch.randn(2, 3, 16, 16)
    before = model.eval()(image)
    assert fuse_batch_norms(model) == 3
    assert sum(isinstance(module, nn.BatchNorm2d) for module in model.modules()) == 2
    torch.testing.assert_close(model(image), before, rtol=1e-4, atol=1e-5)


def test_decoding_equals_mmpose():
    """Peaks everywhere: inside, on every edge and corner, ties, nothing above zero."""
    generator = torch.Generator().manual_seed(0)
    heatmaps = torch.rand(60, 5, 6, 7, generator=generator)
    for peak, (y, x) in enumerate(np.ndindex(6, 7)):
        heatmaps[peak, :, y, x] = 2
    heatmaps[50] = -1
    heatmaps[51] = 0
    heatmaps[52] = 1
    peaks, scores = decode_heatmaps(heatmaps)
    codec = MSRAHeatmap(input_size=(7, 6), heatmap_size=(7, 6), sigma=2)
    for found, height, one in zip(peaks.numpy(), scores.numpy(), heatmaps.numpy(), strict=True):
        keypoints, expected = codec.decode(one)
        np.testing.assert_array_equal(found, keypoints[0])
        np.testing.assert_array_equal(height, expected[0])


@pytest.fixture(scope='module')
def pipeline(weights) -> TopdownPipeline:
    return TopdownPipeline(PoseNetwork(POSE_CONFIG, weights, flip_test=False), whole_image, batch_size=4)


def test_stream_keeps_order_and_holds_few_frames(pipeline, scenes):
    """Frames come out in order with the poses that they have alone, and not all of them are taken at once."""
    taken = []

    def frames():
        for index in range(11):
            taken.append(index)
            yield Frame(np.roll(scenes[index % 3].image, 5 * index, axis=1), index=index)

    for count, (frame, poses) in enumerate(pipeline.stream(frames(), frames_at_once=4)):
        assert frame.index == count
        assert len(taken) <= count + 4
        np.testing.assert_allclose(poses.keypoints, pipeline(frame.image).keypoints, atol=0.01)
    assert count == 10


def test_one_batch_across_people_and_frames(pipeline, scenes, monkeypatch):
    sizes = []
    network = pipeline.network
    counting = lambda crops: sizes.append(len(crops)) or network(crops)  # noqa: E731
    for name in ('cropper', 'num_keypoints', 'flip_test', 'batch_size'):
        setattr(counting, name, getattr(network, name))
    monkeypatch.setattr(pipeline, 'network', counting)
    pipeline.estimate([scene.image for scene in scenes], [boxes_of(scene) for scene in scenes])
    people = sum(len(scene.people) for scene in scenes)
    assert sizes == [4, people - 4]


def test_nobody(pipeline, scenes):
    poses = pipeline.estimate([scenes[0].image], [np.zeros((0, 5))])[0]
    assert len(poses) == 0
    assert poses.keypoints.shape == (0, 16, 2)
    assert pipeline.estimate([], []) == []
    assert poses.to_instances() == []


def test_no_source_of_boxes(weights, scenes):
    with pytest.raises(ValueError, match='no source of boxes'):
        TopdownPipeline(PoseNetwork(POSE_CONFIG, weights))(scenes[0].image)


def test_pipeline_of_a_config_that_is_not_supported(weights, tmp_path):
    config = Config.fromfile(POSE_CONFIG)
    config.test_dataloader.dataset.pipeline.insert(1, dict(type='BottomupResize'))
    config.dump(str(tmp_path / 'td.py'))
    with pytest.raises(ValueError, match=r'td\.py is LoadImage, BottomupResize'):
        PoseNetwork(tmp_path / 'td.py', weights)


def test_there_and_back(pipeline, scenes):
    """Poses survive JSON, ids and people without one included."""
    poses = pipeline.estimate([scenes[1].image], [boxes_of(scenes[1])])[0]
    poses.track_ids = np.array([4, -1, 2])
    written = poses.to_instances()
    assert [person['track_id'] for person in written] == [4, None, 2]
    again = Poses.from_instances(written, 16)
    for name, column in vars(poses).items():
        np.testing.assert_allclose(getattr(again, name), column, atol=1e-3)
    assert Poses.from_instances([], 16).keypoints.shape == (0, 16, 2)


def test_as_data_sample(pipeline, scenes):
    """MMPose's visualizer takes it."""
    from mmpose.visualization import PoseLocalVisualizer

    poses = pipeline.estimate([scenes[1].image], [boxes_of(scenes[1])])[0]
    sample = poses.to_datasample()
    assert isinstance(sample, PoseDataSample)
    np.testing.assert_array_equal(sample.pred_instances.keypoints, poses.keypoints)
    visualizer = PoseLocalVisualizer()
    visualizer.set_dataset_meta(pipeline.dataset_meta)
    visualizer.add_datasample('pose', scenes[1].image.copy(), sample, draw_gt=False, kpt_thr=0)
    assert (visualizer.get_image() != scenes[1].image).any()


def test_as_supervision_keypoints(pipeline, scenes):
    poses = pipeline.estimate([scenes[1].image], [boxes_of(scenes[1])])[0]
    poses.track_ids = np.array([4, -1, 2])
    keypoints = poses.to_supervision()
    np.testing.assert_array_equal(keypoints.xy, poses.keypoints)
    np.testing.assert_array_equal(keypoints.confidence, poses.keypoint_scores)
    assert keypoints.data['tracker_id'].tolist() == [4, -1, 2]
    assert len(pipeline.estimate([scenes[1].image], [np.zeros((0, 5))])[0].to_supervision()) == 0


def test_supervision_is_missing(pipeline, scenes, monkeypatch):
    monkeypatch.setitem(__import__('sys').modules, 'supervision', None)
    with pytest.raises(ImportError, match=r"pip install 'mmpose_lite\[tracking\]'"):
        pipeline(scenes[0].image).to_supervision()


def test_quiet(pipeline, scenes, caplog, capfd):
    with caplog.at_level(logging.WARNING):
        pipeline(scenes[0].image)
    assert caplog.text == ''
    assert capfd.readouterr() == ('', '')
