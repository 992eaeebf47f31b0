"""zmqchat: a customer-service web chat, clustered over ZeroMQ without a broker."""

__version__ = "0.1.0"
