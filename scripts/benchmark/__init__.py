"""What ``scripts/bench`` runs: real nodes under load from a process of its own.

`servers` starts and stops what is measured and reads its CPU time and memory, `baselines` is the
bare Tornado it is compared with, `clients` are the WebSocket clients that check what they see,
`scenarios` drive them, and `report` makes medians and tables. Only loopback addresses are used.
"""
