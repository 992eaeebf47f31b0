"""Kills and freezes nodes of a real cluster, and looks at what desks are told."""
