"""Deployments and what belongs to them, the same from a laptop and from a workflow."""
