# MMPose's default runtime, with this package's modules and its guard against foreign checkpoints. (Not inherited from
# 'mmpose::_base_/default_runtime.py': MMEngine looks that up through pkg_resources, which setuptools 82 dropped.)
default_scope = 'mmpose'
custom_imports = dict(imports=['mmpose_lite'], allow_failed_imports=False)

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50),
    param_scheduler=dict(type='ParamSchedulerHook'),
    # `--resume` goes on from the last whole epoch, see docs/training.md
    checkpoint=dict(type='ResumableCheckpointHook', interval=1, max_keep_ckpts=2),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    # curves.png; --cfg-options default_hooks.curves.tensorboard=True for TensorBoard,
    curves=dict(type='CurvesHook', tensorboard=False),
    # default_hooks.visualization.enable=True for pictures of what is predicted, at every validation
    visualization=dict(type='SamplesHook', enable=False))
custom_hooks = [
    dict(type='SyncBuffersHook'),  # the same batch norm statistics on every process at the end of an epoch
    dict(type='ProgressSeedHook'),  # a resumed run draws the random numbers of an uninterrupted one
    dict(type='CheckpointGuardHook'),  # a checkpoint of another network is an error, not a warning
]

env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'))

vis_backends = [dict(type='LocalVisBackend')]
visualizer = dict(type='PoseLocalVisualizer', vis_backends=vis_backends, name='visualizer')

log_processor = dict(type='LogProcessor', window_size=50, by_epoch=True, num_digits=6)
log_level = 'INFO'
load_from = None
resume = False

train_cfg = dict(by_epoch=True)
val_cfg = dict()
test_cfg = dict()
