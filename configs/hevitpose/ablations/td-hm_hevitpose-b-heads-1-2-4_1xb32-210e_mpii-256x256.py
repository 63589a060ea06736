# Table 11: 1, 2 and 4 heads per group.
_base_ = '../td-hm_hevitpose-b_1xb32-210e_mpii-256x256.py'

model = dict(backbone=dict(num_heads=(1, 2, 4)))
