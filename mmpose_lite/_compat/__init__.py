"""What is missing or broken in the frozen stack under MMPose, and what is done about it."""
