# MPII_ROOT=/path/to/mpii mim train mmpose configs/lgm_pose/td-hm_lgm-pose_1xb32-260e_mpii-256x256.py
_base_ = ['./_base_/lgm_pose.py', '../_base_/datasets/mpii_256x256.py']

train_cfg = dict(max_epochs=260, val_interval=10)
model = dict(backbone=dict(img_size=(256, 256)), head=dict(out_channels=16, decoder=_base_.codec))

# the paper names no augmentation: HRNet's, scale +-25 % and its rot_factor=30, a normal of 30 degrees cut at 60
train_pipeline = _base_.train_pipeline
train_pipeline[3].update(shift_prob=0, rotate_factor=60, scale_factor=(0.75, 1.25))
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
