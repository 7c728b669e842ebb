"""Tasks: what counts as success, reward and end, judged from facts; nothing here knows a simulator."""
