# MPII_ROOT=/path/to/mpii mim train mmpose configs/hevitpose/td-hm_hevitpose-t_1xb32-210e_mpii-256x256.py
_base_ = './td-hm_hevitpose-b_1xb32-210e_mpii-256x256.py'

model = dict(backbone=dict(widths=(64, 128, 192)), head=dict(in_channels=192))
