# COCO test-dev2017: no public annotations, so the test writes a results file for COCO's evaluation server instead of
# a score. To be listed beside a COCO config, see configs/lgm_pose/eval. Also needs
#   $COCO_ROOT/test2017/*.jpg, annotations/image_info_test-dev2017.json
#   $COCO_ROOT/person_detection_results/COCO_test-dev2017_detections_AP_H_609_person.json (MMPose's link)
test_dev_dataset = dict(
    ann_file='annotations/image_info_test-dev2017.json',
    bbox_file='{{$COCO_ROOT:data/coco}}/person_detection_results/COCO_test-dev2017_detections_AP_H_609_person.json',
    data_prefix=dict(img='test2017/'))
test_dev_evaluator = dict(
    ann_file='{{$COCO_ROOT:data/coco}}/annotations/image_info_test-dev2017.json', format_only=True)
