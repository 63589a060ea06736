# HEViTPose-B and its schedule: Adam, learning rate 1e-3, cut tenfold at epochs 170 and 200 of 210. The paper names no
# warm-up: that of MMPose, which it was written with.
_base_ = '../../_base_/topdown_heatmap.py'

optim_wrapper = dict(optimizer=dict(type='Adam', lr=1e-3))
param_scheduler = [
    dict(type='LinearLR', begin=0, end=500, start_factor=0.001, by_epoch=False),
    dict(type='MultiStepLR', begin=0, end=210, milestones=[170, 200], gamma=0.1, by_epoch=True),
]

model = dict(
    backbone=dict(type='HEViTPose'),
    head=dict(
        in_channels=384,
        out_channels=17,
        deconv_out_channels=(192, 96),  # at every size of the network
        deconv_kernel_sizes=(4, 4)))  # the decoder is each config's codec
