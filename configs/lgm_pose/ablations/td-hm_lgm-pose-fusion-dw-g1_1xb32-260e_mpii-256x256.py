# Table 5: depthwise, one channel per group.
_base_ = '../td-hm_lgm-pose_1xb32-260e_mpii-256x256.py'

model = dict(neck=dict(mode='dw_g1'))
