# Table 10: keys and values reduced 4, 2 and 1 times.
_base_ = '../td-hm_hevitpose-b_1xb32-210e_mpii-256x256.py'

model = dict(backbone=dict(reductions=(4, 2, 1)))
