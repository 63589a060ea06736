# Table 9: two groups in every stage.
_base_ = '../td-hm_hevitpose-b_1xb32-210e_mpii-256x256.py'

model = dict(backbone=dict(groups=(2, 2, 2)))
