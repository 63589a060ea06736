# Table 11: 4, 8 and 16 heads per group.
_base_ = '../td-hm_hevitpose-b_1xb32-210e_mpii-256x256.py'

model = dict(backbone=dict(num_heads=(4, 8, 16)))
