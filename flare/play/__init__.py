"""A house walked by a person: keys, terminal pictures, a log that replays."""
