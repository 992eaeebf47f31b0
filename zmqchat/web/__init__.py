"""What browsers talk to: WebSocket, REST and pages."""
