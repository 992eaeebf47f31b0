"""The rules of the chat, without sockets, clocks, databases or chance."""
