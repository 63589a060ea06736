# COCO_ROOT=/path/to/coco mim train mmpose configs/greit_hrnet/td-hm_greit-hrnet-30_8xb32-210e_coco-384x288.py
_base_ = ['./_base_/greit_hrnet.py', '../_base_/datasets/coco_384x288.py']

train_cfg = dict(max_epochs=210, val_interval=10)
model = dict(backbone=dict(num_modules=(3, 8, 3)), head=dict(decoder=_base_.codec))

# the paper's rotation factor of 30 is rot_factor=30 of MMPose 0.x, a normal of 30 degrees cut at 60
train_pipeline = _base_.train_pipeline
train_pipeline[4].update(shift_prob=0, rotate_factor=60, scale_factor=(0.75, 1.25))
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
