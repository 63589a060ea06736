# LGM-Pose and its schedule: Adam, learning rate 1e-3, cut tenfold at epochs 200 and 240 of 260, batch 32.
_base_ = '../../_base_/topdown_heatmap.py'

optim_wrapper = dict(optimizer=dict(type='Adam', lr=1e-3))
param_scheduler = [dict(type='MultiStepLR', begin=0, end=260, milestones=[200, 240], gamma=0.1, by_epoch=True)]
auto_scale_lr = dict(base_batch_size=32)

model = dict(
    backbone=dict(type='LGMPose', img_size=(256, 192)),  # height, width: must agree with the codec
    neck=dict(type='SFusionNeck'),
    head=dict(
        in_channels=64,
        out_channels=17,
        deconv_out_channels=None))  # the decoder is each config's codec
