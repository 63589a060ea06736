# MPII's test people have no public joints, so the test writes predictions for MPII's evaluation instead of a score. To
# be listed beside an MPII config, see configs/hevitpose/eval. Also needs
#   $MPII_ROOT/annotations/mpii_test.json (MMPose's)
mpii_test_dataset = dict(type='MpiiTestDataset', ann_file='annotations/mpii_test.json', headbox_file=None)
