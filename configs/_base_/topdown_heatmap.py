# What the top-down heatmap networks share: ImageNet normalization, MSE loss, and the flip test for codecs without UDP.
# (The heatmaps are shifted by a pixel because convolutions of stride 2 do not commute with a flip on even sizes.)
model = dict(
    type='TopdownPoseEstimator',
    data_preprocessor=dict(
        type='PoseDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True),
    head=dict(type='HeatmapHead', loss=dict(type='KeypointMSELoss', use_target_weight=True)),
    test_cfg=dict(flip_test=True, flip_mode='heatmap', shift_heatmap=True))
