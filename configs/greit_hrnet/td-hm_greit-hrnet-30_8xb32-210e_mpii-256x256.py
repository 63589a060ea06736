# MPII_ROOT=/path/to/mpii mim train mmpose configs/greit_hrnet/td-hm_greit-hrnet-30_8xb32-210e_mpii-256x256.py
_base_ = ['./_base_/greit_hrnet.py', '../_base_/datasets/mpii_256x256.py']

train_cfg = dict(max_epochs=210, val_interval=10)
model = dict(backbone=dict(num_modules=(3, 8, 3)), head=dict(out_channels=16, decoder=_base_.codec))

# the paper's rotation factor of 30 is rot_factor=30 of MMPose 0.x, a normal of 30 degrees cut at 60
train_pipeline = _base_.train_pipeline
train_pipeline[3].update(shift_prob=0, rotate_factor=60, scale_factor=(0.75, 1.25))
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
