# Greit-HRNet-18 in a third wiring that gives the parameters and FLOPs of the paper: GSW's "SE operation" as Dite-HRNet's,
# with batch norm between its convolutions and a bias at the end, a bias in the masks, the second LKA in the expanded
# width. GCW and the number of LKAs are the paper's as written.
_base_ = '../td-hm_greit-hrnet-18_1xb32-140e_lspet-256x256.py'

model = dict(
    backbone=dict(
        gsw_ratios=(8, 8, 8, 8),
        gsw_style='dite',
        gsw_mask_style='bias',
        lka_places=('half1', 'half2_downsampled'),
    ))
