# COCO_ROOT=/path/to/coco mim train mmpose configs/hevitpose/td-hm_hevitpose-t_2xb64-210e_coco-256x256.py --gpus 2 --launcher pytorch
_base_ = './td-hm_hevitpose-b_2xb64-210e_coco-256x256.py'

model = dict(backbone=dict(widths=(64, 128, 192)), head=dict(in_channels=192))
