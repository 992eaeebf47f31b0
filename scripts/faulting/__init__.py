"""Breaks what can break in a real cluster, and checks that no message is lost, doubled or late.

`history` and `checker` know only what happened. `page` and `people` are the clients, `links` the
network between the processes, `disks` and `databases` what messages are kept on, `site` is all of
it together, `faults` what can be done to it, and `run` a whole run.
"""
