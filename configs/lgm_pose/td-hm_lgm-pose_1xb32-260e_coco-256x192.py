# COCO_ROOT=/path/to/coco mim train mmpose configs/lgm_pose/td-hm_lgm-pose_1xb32-260e_coco-256x192.py
_base_ = ['./_base_/lgm_pose.py', '../_base_/datasets/coco_256x192.py']

train_cfg = dict(max_epochs=260, val_interval=10)
model = dict(head=dict(decoder=_base_.codec))

# the paper names no augmentation: HRNet's, scale +-35 % and its rot_factor=45, a normal of 45 degrees cut at 90
train_pipeline = _base_.train_pipeline
train_pipeline[4].update(shift_prob=0, rotate_factor=90, scale_factor=(0.65, 1.35))
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
