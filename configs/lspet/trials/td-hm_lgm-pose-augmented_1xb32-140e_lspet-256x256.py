# LGM-Pose with RTMPose's augmentation of colours, a rectangle of 20 to 40 % of each side that is blacked out, and its
# wider rotation and scale. RTMPose takes the rectangle, and blur, from Albumentations; this needs no further package
# and has no blur.
_base_ = '../td-hm_lgm-pose_1xb32-140e_lspet-256x256.py'

train_pipeline = _base_.train_pipeline
train_pipeline[3].update(rotate_factor=80, scale_factor=(0.6, 1.4))
train_pipeline[5:5] = [  # behind TopdownAffine
    dict(type='YOLOXHSVRandomAug'),
    dict(type='mmdet.CutOut', n_holes=1, cutout_ratio=[(w, h) for w in (0.2, 0.3, 0.4) for h in (0.2, 0.3, 0.4)]),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
