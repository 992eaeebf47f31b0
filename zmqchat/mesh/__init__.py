"""What carries frames between nodes: the bus and its implementations."""
