"""Speed of flare against its peers and the machine's limits; `python -m benchmarks.run`."""
