# LGM-Pose with unbiased data processing (UDP, Huang et al., CVPR 2020), whose decoding is DARK's.
_base_ = '../td-hm_lgm-pose_1xb32-140e_lspet-256x256.py'

codec = dict(type='UDPHeatmap', blur_kernel_size={1: 5, 2: 11}[_base_.codec.sigma])
model = dict(head=dict(decoder=codec), test_cfg=dict(shift_heatmap=False))
train_pipeline = _base_.train_pipeline
train_pipeline[4].update(use_udp=True)
train_pipeline[5].update(encoder=dict(_base_.codec, **codec))
val_pipeline = _base_.val_pipeline
val_pipeline[2].update(use_udp=True)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader
