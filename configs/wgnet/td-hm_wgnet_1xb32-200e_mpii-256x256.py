# 256x256 is inferred, usual for MPII: the paper names no input size for it.
# MPII_ROOT=/path/to/mpii mim train mmpose configs/wgnet/td-hm_wgnet_1xb32-200e_mpii-256x256.py
_base_ = ['./_base_/wgnet.py', '../_base_/datasets/mpii_256x256.py']

train_cfg = dict(max_epochs=200, val_interval=10)
model = dict(head=dict(out_channels=16, decoder=_base_.codec))

# the paper lists random cropping: crops of half a body
train_pipeline = _base_.train_pipeline
train_pipeline.insert(3, dict(type='RandomHalfBody'))
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
