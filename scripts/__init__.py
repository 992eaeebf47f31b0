"""Programs for those who develop zmqchat; none of this is installed."""
