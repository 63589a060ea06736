# MPII_ROOT=/path/to/mpii mim train mmpose configs/hevitpose/td-hm_hevitpose-b_1xb32-210e_mpii-256x256.py
_base_ = ['./_base_/hevitpose.py', '../_base_/datasets/mpii_256x256.py']

train_cfg = dict(max_epochs=210, val_interval=10)
auto_scale_lr = dict(base_batch_size=32)
model = dict(head=dict(out_channels=16, decoder=_base_.codec))

# MMPose's defaults are the paper's shift (0.16), scale (0.5 to 1.5) and rotation (40 degrees, cut at 80: see README)
train_pipeline = _base_.train_pipeline
train_pipeline.insert(3, dict(type='RandomHalfBody'))
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
