# The last part of the training of the pose network that ships: 26 more epochs, a quarter of them of near portraits, of
# which the detector's scenes, enlarged less, have few. On two cores of a CPU with bfloat16:
#   python tools/compose_scenes.py --data /data/lspet --out data/portraits --count 8000 --seed 1 --portraits
#   MPII_ROOT=/data/lspet TOY_ROOT=data/toy_mix SCENES_ROOT=data/scenes PORTRAITS_ROOT=data/portraits mim train mmpose \
#       configs/photographs/td-hm_lgm-pose_2xb16-26e_portraits-scenes-lspet-toy-128x128.py --launcher pytorch --gpus 2 \
#       --amp --cfg-options optim_wrapper.dtype=bfloat16 optim_wrapper.optimizer.fused=True \
#       default_hooks.channels_last.type=ChannelsLastHook
_base_ = 'td-hm_lgm-pose_1xb32-10e_scenes-lspet-toy-128x128.py'

load_from = 'work_dirs/pose/third.safetensors'
epochs = 26
train_cfg = dict(max_epochs=epochs, val_interval=4)
param_scheduler = [
    dict(type='LinearLR', begin=0, end=100, start_factor=0.01, by_epoch=False),
    dict(type='MultiStepLR', milestones=[round(epochs * epoch / 260) for epoch in (200, 240)], by_epoch=True),
]

to_heatmaps = _base_.train_pipeline[5:]
# who is near is labelled no better than who is far: in pixels of the heatmap much less exactly
wide = [*to_heatmaps[:2], dict(type='GenerateTarget', encoder=dict(_base_.codec, sigma=2)), *to_heatmaps[3:-1]]
train_dataloader = dict(
    batch_size=16,
    dataset=dict(
        datasets=[
            *[dict(d, pipeline=[*d['pipeline'], *to_heatmaps[:-1]]) for d in _base_.train_dataloader.dataset.datasets],
            dict(_base_.scenes, data_root='{{$PORTRAITS_ROOT:data/portraits}}', pipeline=_base_.load_to_flip + wide),
        ],
        sample_ratio_factor=[1.0, 0.3, 0.3, 0.45],
        pipeline=to_heatmaps[-1:]))

# more of what is around: in the boxes of the detector that ships, portraits and other people are posed better, acrobats
# a little worse (mmpose_lite/weights/README.md); validation during the training had the usual 1.25
val_pipeline = _base_.val_pipeline
val_pipeline[1].update(padding=1.4)
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader
