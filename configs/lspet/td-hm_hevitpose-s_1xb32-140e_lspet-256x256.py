# MPII_ROOT=/path/to/lspet mim train mmpose configs/lspet/td-hm_hevitpose-s_1xb32-140e_lspet-256x256.py
_base_ = './td-hm_hevitpose-t_1xb32-140e_lspet-256x256.py'

model = dict(backbone=dict(widths=(128, 192, 224), groups=(4, 3, 2)), head=dict(in_channels=224))
