# Which axis LayerNorm of LARM takes, with and without skips: short trainings on people cut out by research/crops.py.
#   COCO_ROOT=/data/coco CROPS=data/crops/coco NORM_AXIS=channels SKIPS=1 mim train mmpose \
#       research/td-hm_lgm-pose_norm-axis_coco-crops-128x96.py --cfg-options randomness.seed=0
_base_ = ['../configs/lgm_pose/_base_/lgm_pose.py', '../configs/_base_/default_runtime.py']

epochs = int('{{$EPOCHS:2}}')
people = int('{{$PEOPLE:7189}}')
size = (96, 128)  # width, height
codec = dict(type='MSRAHeatmap', input_size=size, heatmap_size=(24, 32), sigma=1.5, unbiased=True)
model = dict(
    backbone=dict(img_size=(128, 96), residual=bool(int('{{$SKIPS:1}}')), norm_axis='{{$NORM_AXIS:patches}}'),
    head=dict(decoder=codec),
)

optim_wrapper = dict(optimizer=dict(lr=2e-3))
steps = epochs * (people // 32)
param_scheduler = [
    dict(type='LinearLR', begin=0, end=100, start_factor=0.01, by_epoch=False),
    dict(type='CosineAnnealingLR', begin=100, end=steps, T_max=steps - 100, eta_min=2e-5, by_epoch=False),
]
train_cfg = dict(max_epochs=epochs, val_interval=epochs)

to_crop = [dict(type='LoadImage'), dict(type='GetBBoxCenterScale')]
train_pipeline = [
    *to_crop,
    dict(type='RandomFlip', direction='horizontal'),
    dict(type='RandomBBoxTransform', shift_prob=0, rotate_factor=20, scale_factor=(0.8, 1.25)),
    dict(type='TopdownAffine', input_size=size),
    dict(type='GenerateTarget', encoder=codec),
    dict(type='PackPoseInputs'),
]
val_pipeline = [*to_crop, dict(type='TopdownAffine', input_size=size), dict(type='PackPoseInputs')]

coco = dict(type='CocoDataset', data_mode='topdown')
train_dataloader = dict(
    batch_size=32,
    num_workers=1,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        coco,
        data_root='{{$CROPS:data/crops/coco}}',
        ann_file='annotations.json',
        data_prefix=dict(img='images/'),
        pipeline=train_pipeline,
    ),
)
annotations = 'annotations/person_keypoints_val.json'
val_dataloader = dict(
    batch_size=32,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
    dataset=dict(
        coco,
        data_root='{{$COCO_ROOT:data/coco}}',
        ann_file=annotations,
        data_prefix=dict(img='images/'),
        test_mode=True,
        pipeline=val_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='CocoMetric', ann_file='{{$COCO_ROOT:data/coco}}/' + annotations)
test_evaluator = val_evaluator
default_hooks = dict(channels_last=dict(type='ChannelsLastHook'))
