# Greit-HRNet-18 in another wiring that gives the parameters and FLOPs of the paper: gates as in Dite-HRNet, with batch
# norm between their convolutions and a bias at the end, GCW once with twice as wide gates, a single LKA.
_base_ = '../td-hm_greit-hrnet-18_1xb32-140e_lspet-256x256.py'

model = dict(
    backbone=dict(
        gcw_ratio=4,
        gcw_stack=1,
        gcw_style='dite',
        gsw_ratios=(8, 8, 8, 8),
        gsw_style='dite',
        gsw_mask_style='bias',
        lka_places=('half1', ),
    ))
