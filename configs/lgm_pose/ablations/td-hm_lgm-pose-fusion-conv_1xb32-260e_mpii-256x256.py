# Table 5: dense 3x3 convolution.
_base_ = '../td-hm_lgm-pose_1xb32-260e_mpii-256x256.py'

model = dict(neck=dict(mode='conv'))
