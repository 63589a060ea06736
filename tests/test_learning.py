"""Every network, cut down, learns a few generated people by heart through MMPose's own data, loss and decoding."""

import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmpose.registry import DATASETS, METRICS, MODELS

# unbiased: with 16 cells across a person, the plain codec's rounding alone would cost a tenth of the joints
CODEC = dict(type='MSRAHeatmap', input_size=(64, 64), heatmap_size=(16, 16), sigma=1, unbiased=True)
NETWORKS = {
    'lgm_pose': dict(backbone=dict(type='LGMPose', img_size=(64, 64)), neck=dict(type='SFusionNeck'), width=64),
    'hevitpose': dict(backbone=dict(type='HEViTPose', widths=(64, 64, 64)), width=64, deconvs=(64, 64)),
    'greit_hrnet': dict(backbone=dict(type='GreitHRNet', num_modules=(1, 1, 1)), width=40, steps=150),
    'wgnet': dict(
        backbone=dict(type='WGNet', widths=(32, 64, 64, 64), stem_width=32),
        neck=dict(type='WGNetNeck', in_channels=(32, 64, 64, 64)),
        width=32,
    ),
}


@pytest.mark.parametrize('network', NETWORKS)
def test_cut_down_network_overfits_generated_people(network, toy_root):
    parts = NETWORKS[network]
    deconvs = parts.get('deconvs')
    model = MODELS.build(
        dict(
            type='TopdownPoseEstimator',
            data_preprocessor=dict(type='PoseDataPreprocessor', mean=[128.0] * 3, std=[64.0] * 3, bgr_to_rgb=True),
            backbone=parts['backbone'],
            neck=parts.get('neck'),
            head=dict(
                type='HeatmapHead',
                in_channels=parts['width'],
                out_channels=16,
                deconv_out_channels=deconvs,
                deconv_kernel_sizes=(4, 4) if deconvs else None,
                loss=dict(type='KeypointMSELoss', use_target_weight=True, loss_weight=100.0),
                decoder=CODEC,
            ),
            test_cfg=dict(flip_test=False),
        )
    )
    model.init_weights()
    dataset = DATASETS.build(
        dict(
            type='MpiiDataset',
            data_root=str(toy_root),
            ann_file='annotations/mpii_val.json',
            headbox_file=str(toy_root / 'annotations' / 'mpii_gt_val.mat'),
            data_prefix=dict(img='images/'),
            test_mode=True,
            pipeline=[
                dict(type='LoadImage'),
                dict(type='GetBBoxCenterScale'),
                dict(type='TopdownAffine', input_size=CODEC['input_size']),
                dict(type='GenerateTarget', encoder=CODEC),
                dict(
                    type='PackPoseInputs',
                    meta_keys=(
                        'id',
                        'img_id',
                        'head_size',
                        'input_center',
                        'input_scale',
                        'input_size',
                        'flip_indices',
                    ),
                ),
            ],
        )
    )
    batch = pseudo_collate([dataset[i] for i in range(4)])
    optimizer = torch.optim.Adam(model.parameters())
    # the rate ends at nothing, so that batch norm's running statistics catch up with the weights
    steps = parts.get('steps', 80)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=4e-3, total_steps=steps)
    model.train()
    data = model.data_preprocessor(batch, training=True)
    for _ in range(steps):
        loss = model.loss(data['inputs'], data['data_samples'])['loss_kpt']
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    model.eval()
    with torch.no_grad():
        results = model.test_step(batch)
    metric = METRICS.build(dict(type='MpiiPCKAccuracy'))
    metric.dataset_meta = dataset.metainfo
    metric.process(None, [sample.to_dict() for sample in results])
    score = metric.evaluate(len(results))['PCK']
    assert score >= 95
