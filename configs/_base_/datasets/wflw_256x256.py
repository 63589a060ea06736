# WFLW, faces with 98 landmarks, 256x256 crops, 64x64 heatmaps. Point the environment variable WFLW_ROOT at your folder:
#   $WFLW_ROOT/images/*/*.jpg
#   $WFLW_ROOT/annotations/face_landmarks_wflw_{train,test}.json
# The annotation files are those of MMPose, see "Prepare datasets: 2D face keypoints" in its documentation.
_base_ = './mpii_256x256.py'

data_root = '{{$WFLW_ROOT:data/wflw}}'
wflw = dict(_delete_=True, type='WFLWDataset', data_root=data_root, data_prefix=dict(img='images/'))

# as in MMPose's WFLW configs
train_pipeline = _base_.train_pipeline
train_pipeline[3].update(shift_prob=0, rotate_factor=60, scale_factor=(0.75, 1.25))

train_ann_file, val_ann_file = (f'annotations/face_landmarks_wflw_{split}.json' for split in ('train', 'test'))
train_dataloader = dict(dataset=dict(ann_file=train_ann_file, pipeline=train_pipeline, **wflw))
val_dataloader = dict(dataset=dict(ann_file=val_ann_file, test_mode=True, pipeline=_base_.val_pipeline, **wflw))
test_dataloader = val_dataloader

val_evaluator = dict(_delete_=True, type='NME', norm_mode='keypoint_distance')  # by the outer corners of the eyes
test_evaluator = val_evaluator
default_hooks = dict(checkpoint=dict(save_best='NME', rule='less'))
