# MPII_ROOT=/path/to/lspet mim train mmpose configs/lspet/td-hm_hevitpose-b_1xb32-140e_lspet-256x256.py
_base_ = './td-hm_hevitpose-t_1xb32-140e_lspet-256x256.py'

model = dict(backbone=dict(widths=(128, 256, 384)), head=dict(in_channels=384))
