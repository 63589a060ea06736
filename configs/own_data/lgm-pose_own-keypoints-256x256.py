# LGM-Pose on keypoints of your own; docs/own-data.md goes through it.
#   OWN_ROOT=/path/to/data mim train mmpose configs/own_data/lgm-pose_own-keypoints-256x256.py
_base_ = ['../lgm_pose/_base_/lgm_pose.py', '../_base_/datasets/coco_256x256.py']

# The keypoints, in the order of the annotation files. `swap`: what a mirror makes of it. `type`: half of the body, for
# RandomHalfBody. `sigmas`: how exactly people can mark it. `joint_weights`: its weight in the loss.
dataset_info = dict(
    dataset_name='own',
    keypoint_info={
        0: dict(name='nose', id=0, color=[51, 153, 255], type='upper', swap=''),
        1: dict(name='left_wrist', id=1, color=[0, 255, 0], type='upper', swap='right_wrist'),
        2: dict(name='right_wrist', id=2, color=[255, 128, 0], type='upper', swap='left_wrist'),
        3: dict(name='left_ankle', id=3, color=[0, 255, 0], type='lower', swap='right_ankle'),
        4: dict(name='right_ankle', id=4, color=[255, 128, 0], type='lower', swap='left_ankle'),
    },
    skeleton_info={
        0: dict(link=('nose', 'left_wrist'), id=0, color=[0, 255, 0]),
        1: dict(link=('nose', 'right_wrist'), id=1, color=[255, 128, 0]),
        2: dict(link=('nose', 'left_ankle'), id=2, color=[0, 255, 0]),
        3: dict(link=('nose', 'right_ankle'), id=3, color=[255, 128, 0]),
    },
    joint_weights=[1., 1., 1., 1., 1.],
    sigmas=[0.026, 0.062, 0.062, 0.089, 0.089])

# RandomHalfBody cuts people to a half of theirs of which enough keypoints are labelled: MMPose asks for 9 in all, 2 of
# the upper and 3 of the lower half
train_pipeline = _base_.train_pipeline
train_pipeline[3].update(min_total_keypoints=4, min_upper_keypoints=2, min_lower_keypoints=2)

data_root = '{{$OWN_ROOT:data/own}}'
own = dict(metainfo=dataset_info, data_root=data_root, data_prefix=dict(img='images/'))
train_dataloader = dict(dataset=dict(ann_file='annotations/train.json', pipeline=train_pipeline, **own))
val_dataloader = dict(dataset=dict(ann_file='annotations/val.json', bbox_file=None, **own))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=f'{data_root}/annotations/val.json')
test_evaluator = val_evaluator

train_cfg = dict(max_epochs=260, val_interval=10)  # as the network's schedule has it
model = dict(
    backbone=dict(img_size=(256, 256)),
    head=dict(out_channels=5, decoder=_base_.codec))
