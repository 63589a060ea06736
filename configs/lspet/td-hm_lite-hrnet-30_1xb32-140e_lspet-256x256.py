# MPII_ROOT=/path/to/lspet mim train mmpose configs/lspet/td-hm_lite-hrnet-30_1xb32-140e_lspet-256x256.py
_base_ = './td-hm_lite-hrnet-18_1xb32-140e_lspet-256x256.py'

model = dict(backbone=dict(extra=dict(stages_spec=dict(num_modules=(3, 8, 3)))))
