"""Pictures of an episode as it runs, and video files made of pictures."""
