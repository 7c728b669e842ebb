"""Tasks: what counts as success, reward and end, judged from facts of N worlds."""
