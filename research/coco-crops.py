# One network on people cut out by research/crops.py, all networks alike. Small first: 96x128, then a larger size from
# the weights of the smaller one. research/compare.py trains several beside each other.
#   COCO_ROOT=/data/coco CROPS=data/crops NETWORK=lgm-pose mim train mmpose research/coco-crops.py \
#       --launcher pytorch --gpus 2
_base_ = ['../configs/_base_/topdown_heatmap.py', '../configs/_base_/default_runtime.py']

width, height = int('{{$WIDTH:96}}'), int('{{$HEIGHT:128}}')
batch = int('{{$BATCH:16}}')  # per process
epochs = int('{{$EPOCHS:40}}')
decay = int('{{$DECAY:30}}')  # the learning rate is constant up to this epoch and falls linearly from there
codec = dict(
    type='MSRAHeatmap',
    input_size=(width, height),
    heatmap_size=(width // 4, height // 4),
    sigma=float('{{$SIGMA:1.5}}'),
    unbiased=True,
)

stem = dict(stem_channels=32, out_channels=32, expand_ratio=1)
lite_stages = dict(
    num_modules=(2, 4, 2),
    num_branches=(2, 3, 4),
    num_blocks=(2, 2, 2),
    module_type=('LITE', 'LITE', 'LITE'),
    with_fuse=(True, True, True),
    reduce_ratios=(8, 8, 8),
    num_channels=((40, 80), (40, 80, 160), (40, 80, 160, 320)),
)
networks = {
    'lgm-pose': dict(
        backbone=dict(type='LGMPose', img_size=(height, width)),
        neck=dict(type='SFusionNeck'),
        head=dict(in_channels=64),
    ),
    'hevitpose-t': dict(
        backbone=dict(type='HEViTPose', widths=(64, 128, 192)),
        head=dict(in_channels=192, deconv_out_channels=(192, 96), deconv_kernel_sizes=(4, 4)),
    ),
    'greit-hrnet-18': dict(backbone=dict(type='GreitHRNet', num_modules=(2, 4, 2)), head=dict(in_channels=40)),
    'wgnet': dict(backbone=dict(type='WGNet'), neck=dict(type='WGNetNeck'), head=dict(in_channels=96)),
    'lite-hrnet-18': dict(
        backbone=dict(
            type='LiteHRNet',
            in_channels=3,
            extra=dict(stem=stem, num_stages=3, stages_spec=lite_stages, with_head=True),
        ),
        head=dict(in_channels=40),
    ),
    'mobilenetv2': dict(
        backbone=dict(type='MobileNetV2', widen_factor=1.0, out_indices=(7,)),
        head=dict(in_channels=1280, deconv_out_channels=(256, 256, 256)),
    ),
}
model = dict(networks['{{$NETWORK:lgm-pose}}'])
model['head'] = dict(dict(out_channels=17, deconv_out_channels=None, decoder=codec), **model['head'])

optim_wrapper = dict(optimizer=dict(type='Adam', lr=float('{{$LR:2e-3}}'), fused=True))
param_scheduler = [
    dict(type='LinearLR', begin=0, end=200, start_factor=0.02, by_epoch=False),
    dict(type='LinearLR', begin=decay, end=epochs, start_factor=1, end_factor=0.01, convert_to_iter_based=True),
]
auto_scale_lr = dict(base_batch_size=32)
train_cfg = dict(max_epochs=epochs, val_interval=int('{{$VAL_INTERVAL:4}}'))

to_crop = [dict(type='LoadImage'), dict(type='GetBBoxCenterScale')]
train_pipeline = [
    *to_crop,
    dict(type='RandomFlip', direction='horizontal'),
    dict(type='RandomBBoxTransform', shift_factor=0.1, shift_prob=0.3, rotate_factor=40, scale_factor=(0.75, 1.3)),
    dict(type='TopdownAffine', input_size=(width, height)),
    dict(type='GenerateTarget', encoder=codec),
    dict(type='PackPoseInputs'),
]
val_pipeline = [*to_crop, dict(type='TopdownAffine', input_size=(width, height)), dict(type='PackPoseInputs')]

coco = dict(type='CocoDataset', data_mode='topdown')
crops = [
    dict(
        coco,
        data_root='{{$CROPS:data/crops}}/' + name,
        ann_file='annotations.json',
        data_prefix=dict(img='images/'),
        pipeline=[],
    )
    for name in ('coco', 'st40')
]
train_dataloader = dict(
    batch_size=batch,
    num_workers=1,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='CombinedDataset',
        metainfo=dict(from_file='configs/_base_/datasets/coco.py'),
        datasets=crops,
        sample_ratio_factor=[1, 0.76],  # as many of either: people labelled by people, people labelled by machines
        pipeline=train_pipeline,
    ),
)
annotations = 'annotations/person_keypoints_val2017.json'
val_dataloader = dict(
    batch_size=32,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
    dataset=dict(
        coco,
        data_root='{{$COCO_ROOT:data/coco}}',
        ann_file=annotations,
        data_prefix=dict(img='val2017/'),
        test_mode=True,
        pipeline=val_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='CocoMetric', ann_file='{{$COCO_ROOT:data/coco}}/' + annotations)
test_evaluator = val_evaluator
default_hooks = dict(channels_last=dict(type='ChannelsLastHook'), checkpoint=dict(save_best='coco/AP', rule='greater'))
custom_hooks = [
    dict(type='SyncBuffersHook'),
    dict(type='ProgressSeedHook'),
    dict(type='CheckpointGuardHook'),
    dict(type='EMAHook', ema_type='ExpMomentumEMA', momentum=0.0005, gamma=500, update_buffers=True, priority=49),
]
