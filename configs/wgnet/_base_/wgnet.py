# WGNet and its schedule: learning rate 1e-3, cosine down to 1e-5 at epoch 170 of 200, constant from there. The paper
# names neither optimizer nor batch size, and no warm-up; Adam is what HRNet and TokenPose use at this learning rate.
_base_ = '../../_base_/topdown_heatmap.py'

optim_wrapper = dict(optimizer=dict(type='Adam', lr=1e-3))
param_scheduler = [
    dict(type='LinearLR', begin=0, end=500, start_factor=0.001, by_epoch=False),
    dict(type='CosineAnnealingLR', begin=0, end=170, T_max=170, eta_min=1e-5, by_epoch=True),
]
auto_scale_lr = dict(base_batch_size=32)

model = dict(
    backbone=dict(type='WGNet'),
    neck=dict(type='WGNetNeck'),
    head=dict(
        in_channels=96,
        out_channels=17,
        deconv_out_channels=None))  # the decoder is each config's codec
