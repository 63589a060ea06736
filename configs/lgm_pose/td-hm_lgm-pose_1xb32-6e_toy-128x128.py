# LGM-Pose on generated people at a size and schedule for a CPU: the main job of `make demo`.
#   mmpose-lite toy-data data/toy_people --train 800
#   MPII_ROOT=data/toy_people mim train mmpose configs/lgm_pose/td-hm_lgm-pose_1xb32-6e_toy-128x128.py
_base_ = ['./_base_/lgm_pose.py', '../_base_/datasets/mpii_256x256.py']

train_cfg = dict(max_epochs=6, val_interval=3)
optim_wrapper = dict(optimizer=dict(type='Adam', lr=2e-3))
param_scheduler = [
    dict(type='LinearLR', begin=0, end=50, start_factor=0.01, by_epoch=False),
    dict(type='CosineAnnealingLR', begin=0, end=6, T_max=6, eta_min=2e-5, by_epoch=True, convert_to_iter_based=True),
]

codec = dict(type='MSRAHeatmap', input_size=(128, 128), heatmap_size=(32, 32), sigma=1)
model = dict(backbone=dict(img_size=(128, 128)), head=dict(out_channels=16, decoder=codec))

train_pipeline = _base_.train_pipeline
train_pipeline[3].update(shift_prob=0, rotate_factor=20, scale_factor=(0.85, 1.15))
train_pipeline[4].update(input_size=codec['input_size'])
train_pipeline[5].update(encoder=codec)
val_pipeline = _base_.val_pipeline
val_pipeline[2].update(input_size=codec['input_size'])

train_dataloader = dict(num_workers=1, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(num_workers=1, dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader

default_hooks = dict(logger=dict(interval=10))
