# Greit-HRNet-18 in a third wiring that gives the parameters and FLOPs of the paper: norm and bias only in GSW, GCW and
# the number of LKAs as the paper writes them, the second LKA in the expanded width.
_base_ = '../td-hm_greit-hrnet-18_1xb32-140e_lspet-256x256.py'

model = dict(
    backbone=dict(
        gcw_ratio=8,
        gcw_stack=2,
        gcw_style='plain',
        lka_places=('half1', 'half2_downsampled'),
    ))
