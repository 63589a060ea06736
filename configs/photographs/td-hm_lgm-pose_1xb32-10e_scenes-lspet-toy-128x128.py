# The third part of the training of the pose network that ships: 10 more epochs, most of them of the scenes that the
# detector learns from (tools/compose_scenes.py), so that it knows portraits, people cut by the picture's edge, and
# boxes around what is seen of somebody. On a CPU with bfloat16:
#   MPII_ROOT=/data/lspet TOY_ROOT=data/toy_mix SCENES_ROOT=data/scenes mim train mmpose \
#       configs/photographs/td-hm_lgm-pose_1xb32-10e_scenes-lspet-toy-128x128.py --amp --cfg-options \
#       optim_wrapper.dtype=bfloat16 optim_wrapper.optimizer.fused=True \
#       default_hooks.channels_last.type=ChannelsLastHook
_base_ = 'td-hm_lgm-pose_1xb32-30e_lspet-toy-128x128.py'

load_from = 'work_dirs/pose/second.safetensors'
epochs = 10
train_cfg = dict(max_epochs=epochs, val_interval=2)
param_scheduler = [
    dict(type='LinearLR', begin=0, end=100, start_factor=0.01, by_epoch=False),
    dict(type='MultiStepLR', milestones=[round(epochs * epoch / 260) for epoch in (200, 240)], by_epoch=True),
]

load_to_flip = _base_.train_pipeline[:4]
half_body = _base_.train_pipeline[4]
scenes = dict(_base_.people, data_root='{{$SCENES_ROOT:data/scenes}}', pipeline=load_to_flip)
whole_people = dict(_base_.people, pipeline=load_to_flip + [half_body])
train_dataloader = dict(
    dataset=dict(
        datasets=[
            dict(whole_people, data_root=_base_.data_root),
            dict(whole_people, data_root='{{$TOY_ROOT:data/toy_mix}}'),
            scenes,
        ],
        sample_ratio_factor=[1.0, 0.3, 0.45],
        pipeline=_base_.train_pipeline[5:]))
