# Greit-HRNet-18 and its schedule: Adam, learning rate 2e-3 at batch 256 with a warm-up of 500 iterations, cut tenfold
# at epochs 170 and 200 of 210. (MMPose's own Lite-HRNet configs have 5e-4 at batch 512.)
_base_ = '../../_base_/topdown_heatmap.py'

optim_wrapper = dict(optimizer=dict(type='Adam', lr=2e-3))
param_scheduler = [
    dict(type='LinearLR', begin=0, end=500, start_factor=0.001, by_epoch=False),
    dict(type='MultiStepLR', begin=0, end=210, milestones=[170, 200], gamma=0.1, by_epoch=True),
]
auto_scale_lr = dict(base_batch_size=256)

model = dict(
    backbone=dict(type='GreitHRNet', num_modules=(2, 4, 2)),
    head=dict(
        in_channels=40,
        out_channels=17,
        deconv_out_channels=None))  # the decoder is each config's codec
