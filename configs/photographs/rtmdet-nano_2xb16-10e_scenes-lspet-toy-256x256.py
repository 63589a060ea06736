# The person detector for photographs that ships. It learns from scenes composed of people cut out of Leeds Sports Pose
# Extended (portraits, groups, people before things and cut by the picture's edge), from its photographs as they are and
# in mosaics, and from generated people; it starts from the detector of generated people.
#   mmpose-lite toy-data data/toy_mix --train 1500 --seed 7
#   python tools/compose_scenes.py --data /data/lspet --out data/scenes --count 12000
#   LSPET_ROOT=/data/lspet TOY_ROOT=data/toy_mix SCENES_ROOT=data/scenes mim train mmdet \
#       configs/photographs/rtmdet-nano_2xb16-10e_scenes-lspet-toy-256x256.py --launcher pytorch --gpus 2 \
#       --amp --cfg-options optim_wrapper.dtype=bfloat16
# and `python tools/pack_weights.py` on the last checkpoint.
_base_ = '../rtmdet/rtmdet-nano_1xb16-12e_toy-people-256x256.py'

lspet_root = '{{$LSPET_ROOT:data/lspet}}'
scenes_root = '{{$SCENES_ROOT:data/scenes}}'
max_epochs = 10
load_from = 'mmpose_lite/weights/rtmdet-nano_toy-people.safetensors'
size = (256, 256)
model = dict(use_syncbn=False)  # torch has none for CPUs

resize = dict(type='RandomResize', scale=size, keep_ratio=True)
load = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', with_bbox=True)]
augment = [
    dict(type='RandomCrop', crop_size=size, allow_negative_crop=True),
    dict(type='YOLOXHSVRandomAug'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='Blur', sigma=(0, 2)),
    dict(type='Pad', size=size, pad_val=dict(img=(114, 114, 114))),
    dict(type='PackDetInputs'),
]
scenes_pipeline = [*load, dict(ratio_range=(0.7, 1.4), **resize), *augment]
photographs_pipeline = [
    *load,
    dict(type='CachedMosaic', img_scale=(224, 224), pad_val=114.0, max_cached_images=40, prob=0.5),
    dict(
        type='RandomChoice',
        prob=[0.3, 0.5, 0.2],
        transforms=[
            [dict(ratio_range=(0.4, 0.8), **resize)],
            [dict(ratio_range=(0.8, 1.5), **resize)],
            [dict(ratio_range=(1.5, 2.5), **resize)],
        ]),
    *augment,
]

boxes = dict(type='CocoDataset', data_prefix=dict(img='images/'), metainfo=dict(classes=('person', )))
keypoints = dict(ann_file='annotations/person_keypoints_train.json', pipeline=photographs_pipeline, **boxes)
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='ConcatDataset',
        datasets=[
            dict(
                ann_file='annotations/person_boxes_train.json',
                data_root=scenes_root,
                pipeline=scenes_pipeline,
                **boxes),
            dict(data_root=lspet_root, **keypoints),
            dict(data_root=_base_.data_root, indices=1000, **keypoints),
        ]))
# chosen on eleven other photographs of 21 people and their mirror images: AP50 69 without blur, 78 with this one
test_pipeline = _base_.test_pipeline
test_pipeline[1].update(interpolation='area')
test_pipeline.insert(2, dict(type='Blur', sigma=(1.7, 1.7)))
val_dataloader = dict(dataset=dict(data_root=lspet_root, pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=f'{lspet_root}/annotations/person_keypoints_val.json')
test_evaluator = val_evaluator

train_cfg = dict(max_epochs=max_epochs, val_interval=4)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=False, begin=0, end=100),
    dict(
        type='CosineAnnealingLR', eta_min=2e-5, begin=0, end=max_epochs, T_max=max_epochs, by_epoch=True,
        convert_to_iter_based=True),
]
custom_hooks = [
    dict(type='EMAHook', ema_type='ExpMomentumEMA', momentum=0.0005, update_buffers=True, priority=49),
    dict(type='ChannelsLastHook'),
]
