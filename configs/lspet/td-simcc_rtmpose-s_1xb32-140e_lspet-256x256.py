# MPII_ROOT=/path/to/lspet mim train mmpose configs/lspet/td-simcc_rtmpose-s_1xb32-140e_lspet-256x256.py
_base_ = './td-simcc_rtmpose-t_1xb32-140e_lspet-256x256.py'

model = dict(backbone=dict(deepen_factor=0.33, widen_factor=0.5), head=dict(in_channels=512))
