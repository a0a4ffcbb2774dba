"""Python programs as models of smlt. A program computes; smlt aggregates, optimises, schedules and survives faults."""

from .errors import SmltError
from .program import Batch, Evaluation, Gradient, LaneStep, Parameters, Program, Statistic, Weights

__all__ = ["Batch", "Evaluation", "Gradient", "LaneStep", "Parameters", "Program", "SmltError", "Statistic", "Weights"]
