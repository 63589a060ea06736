# WGNet and its schedule: learning rate 1e-3, cosine down to 1e-5 at epoch 170 of 200, constant from there. The paper
# names neither optimizer nor batch size, and no warm-up; Adam is what HRNet and TokenPose use at this learning rate.
optim_wrapper = dict(optimizer=dict(type='Adam', lr=1e-3))
param_scheduler = [
    dict(type='LinearLR', begin=0, end=500, start_factor=0.001, by_epoch=False),
    dict(type='CosineAnnealingLR', begin=0, end=170, T_max=170, eta_min=1e-5, by_epoch=True),
]
auto_scale_lr = dict(base_batch_size=32)

model = dict(
    type='TopdownPoseEstimator',
    data_preprocessor=dict(
        type='PoseDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True),
    backbone=dict(type='WGNet'),
    neck=dict(type='WGNetNeck'),
    head=dict(
        type='HeatmapHead',
        in_channels=128,
        out_channels=17,
        deconv_out_channels=None,
        loss=dict(type='KeypointMSELoss', use_target_weight=True)),  # the decoder is each config's codec
    test_cfg=dict(flip_test=True, flip_mode='heatmap', shift_heatmap=True))
