# Table 4: MobileViT blocks in place of MobileViM.
_base_ = '../td-hm_lgm-pose_1xb32-260e_mpii-256x256.py'

model = dict(backbone=dict(block='mobilevit'))
