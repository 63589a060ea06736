# Table 5: two channels per group, no shuffle.
_base_ = '../td-hm_lgm-pose_1xb32-260e_mpii-256x256.py'

model = dict(neck=dict(mode='dw_g2'))
