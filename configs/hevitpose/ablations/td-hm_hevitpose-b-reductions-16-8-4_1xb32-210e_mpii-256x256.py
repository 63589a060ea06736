# Table 10: keys and values reduced 16, 8 and 4 times.
_base_ = '../td-hm_hevitpose-b_1xb32-210e_mpii-256x256.py'

model = dict(backbone=dict(reductions=(16, 8, 4)))
