"""What any implementation of a contract is tested with, and long random runs of it."""
