"""Generated people: cartoons with exact keypoints, for tests and the demo."""
