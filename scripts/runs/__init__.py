"""The main job, and what training, simulating and checking share."""
