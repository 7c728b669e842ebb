"""Robots as data: files, their checked contents, and variations of one kind."""

from flare.robots.files import load_robot, robot_names
from flare.robots.spec import RobotSpec, VariationSpec
from flare.robots.variation import sample_robots

__all__ = ["RobotSpec", "VariationSpec", "load_robot", "robot_names", "sample_robots"]
