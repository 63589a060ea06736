# MPII test: writes work_dirs/<this name>/pred.mat for MPII's evaluation.
_base_ = ['../td-hm_hevitpose-b_1xb32-210e_mpii-256x256.py', '../../_base_/datasets/mpii_test.py']

test_dataloader = dict(dataset=_base_.mpii_test_dataset)
test_evaluator = dict(
    _delete_=True, type='MpiiPredictions', outfile='work_dirs/{{ fileBasenameNoExtension }}/pred.mat')
