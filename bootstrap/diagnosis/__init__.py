"""Why it ended: rules over facts, each with a stable id, an explanation and a remedy."""

from .rules import TAIL, Facts, Reason, explain

__all__ = ["TAIL", "Facts", "Reason", "explain"]
