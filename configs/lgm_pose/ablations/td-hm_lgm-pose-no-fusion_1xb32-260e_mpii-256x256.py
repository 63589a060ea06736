# Table 5: no fusion.
_base_ = '../td-hm_lgm-pose_1xb32-260e_mpii-256x256.py'

# without fusion the decoder reads stride 32 only; the other two outputs of the encoder are not used
model = dict(neck=dict(mode='none'))
