"""What ``scripts/simulate`` runs: a cluster's gossip without processes, sockets or clocks.

`world` moves time from event to event and holds the nodes, each with the very engine a real node
runs; `network` carries their frames as ZeroMQ would, with all its ways to fail; `checks` looks at
every step for what must never be; `script` names the steps of a test; `measure` asks how fast and
how right it is, and `plot` draws that. The same seed gives the same run, event by event.
"""
