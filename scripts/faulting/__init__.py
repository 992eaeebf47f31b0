"""Breaks what can break in a real cluster, and checks that no message is lost, doubled or late.

`history` and `checker` know only what happened; `pages` are the clients, `links` the network
between the processes, `disks` and `databases` what messages are kept on, `site` all of it
together, `faults` what can be done to it, `run` a whole run of it.
"""
