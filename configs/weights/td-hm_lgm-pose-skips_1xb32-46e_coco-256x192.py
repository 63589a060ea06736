# The pose network that ships: LGM-Pose with skips in LARM, DARK decoding.
#   COCO_ROOT=/data/coco mim train mmpose configs/weights/td-hm_lgm-pose-skips_1xb32-46e_coco-256x192.py
# The shipped weights saw fewer people, small pictures first (mmpose_lite/weights/README.md).
_base_ = ['../lgm_pose/_base_/lgm_pose.py', '../_base_/datasets/coco_256x192.py']

codec = dict(type='MSRAHeatmap', input_size=(192, 256), heatmap_size=(48, 64), sigma=2, unbiased=True)
model = dict(backbone=dict(residual=True), head=dict(decoder=codec))

train_pipeline = _base_.train_pipeline
train_pipeline.pop(3)  # no half bodies
train_pipeline[3].update(shift_factor=0.1, rotate_factor=40, scale_factor=(0.75, 1.3))
train_pipeline[5].update(encoder=codec)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(bbox_file=None))  # ground-truth boxes
test_dataloader = val_dataloader

train_cfg = dict(max_epochs=46, val_interval=2)
optim_wrapper = dict(optimizer=dict(lr=2e-3), clip_grad=dict(max_norm=1.0))
param_scheduler = [
    dict(type='LinearLR', begin=0, end=200, start_factor=0.02, by_epoch=False),
    dict(type='LinearLR', begin=30, end=46, start_factor=1, end_factor=0.01, convert_to_iter_based=True),
]
custom_hooks = [
    *_base_.custom_hooks,
    dict(type='EMAHook', ema_type='ExpMomentumEMA', momentum=0.0005, gamma=500, update_buffers=True, priority=49),
]
