# Table 9: eight groups in every stage.
_base_ = '../td-hm_hevitpose-b_1xb32-210e_mpii-256x256.py'

model = dict(backbone=dict(groups=(8, 8, 8)))
