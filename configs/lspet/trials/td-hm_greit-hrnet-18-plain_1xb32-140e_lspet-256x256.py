# Greit-HRNet-18 as its equations read: neither norm nor bias in a gate. Other numbers go with them, so that parameters
# and FLOPs are the paper's: GCW twice in series with half as wide gates, wider gates in GSW, two LKAs.
_base_ = '../td-hm_greit-hrnet-18_1xb32-140e_lspet-256x256.py'

model = dict(
    backbone=dict(
        gcw_ratio=8,
        gcw_stack=2,
        gcw_style='plain',
        gsw_ratios=(4, 4, 8, 8),
        gsw_style='plain',
        gsw_mask_style='plain',
        lka_places=('half1', 'half2_end'),
    ))
