"""What a node counts, for Prometheus.

Hot paths count in plain integers; they are read when somebody asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from zmqchat import __version__
from zmqchat.delivery import Delivery
from zmqchat.gossip import Gossip
from zmqchat.mesh.bus import REFUSALS, BusCounts
from zmqchat.recovery import Recovery
from zmqchat.resumes import Resumes
from zmqchat.store.counts import StoreCounts
from zmqchat.web.sockets import Sockets
from zmqchat.wire.mesh import DROP_REASONS


class NodeCollector(Collector):
    """Reads the counts of a node's parts."""

    def __init__(
        self,
        bus: BusCounts,
        store: StoreCounts,
        delivery: Delivery,
        gossip: Gossip,
        sockets: Sockets,
        recovery: Recovery,
        resumes: Resumes,
    ) -> None:
        self._bus = bus
        self._store = store
        self._delivery = delivery
        self._gossip = gossip
        self._recovery = recovery
        self._resumes = resumes
        self._sockets = sockets

    def collect(self) -> Iterator[Metric]:
        """Yield every metric with its value now."""
        yield _labelled(
            GaugeMetricFamily, "zmqchat_build_info", "The version", "version", {__version__: 1}
        )
        yield from self._mesh()
        yield from self._messages()
        yield from self._sessions()

    def _mesh(self) -> Iterator[Metric]:
        bus = self._bus
        yield CounterMetricFamily("zmqchat_mesh_sent", "Frames published", bus.sent)
        yield CounterMetricFamily("zmqchat_mesh_received", "Frames received", bus.received)
        dropped = dict.fromkeys(DROP_REASONS, 0) | dict(bus.dropped)
        yield _labelled(
            CounterMetricFamily, "zmqchat_mesh_dropped", "Frames dropped", "reason", dropped
        )
        yield CounterMetricFamily(
            "zmqchat_mesh_broken_links", "Links that had to be repaired", bus.broken_links
        )
        yield CounterMetricFamily(
            "zmqchat_mesh_repaired_links", "Links that were repaired", bus.repaired_links
        )
        refused = dict.fromkeys(REFUSALS, 0) | dict(bus.refused)
        yield _labelled(
            CounterMetricFamily,
            "zmqchat_mesh_refused",
            "Connections to the mesh port that were refused",
            "reason",
            refused,
        )
        yield GaugeMetricFamily(
            "zmqchat_mesh_peers", "Other nodes that live", len(self._gossip.members.alive)
        )

    def _messages(self) -> Iterator[Metric]:
        results = {
            "stored": self._store.stored,
            "duplicate": self._store.duplicates,
            "refused": self._store.refused,
        }
        yield _labelled(
            CounterMetricFamily, "zmqchat_messages", "Messages by result", "result", results
        )
        yield GaugeMetricFamily(
            "zmqchat_writes_waiting", "Writes in the queue", self._store.queue_length
        )
        yield CounterMetricFamily("zmqchat_commits", "Batches written", self._store.batches)
        yield CounterMetricFamily(
            "zmqchat_commit_retries", "Batches tried again", self._store.retries
        )
        yield CounterMetricFamily(
            "zmqchat_deliveries", "Events handed to sessions", self._delivery.delivered
        )
        yield CounterMetricFamily(
            "zmqchat_gap_reads", "Holes read from the store", self._delivery.following.gap_reads
        )
        yield CounterMetricFamily(
            "zmqchat_recovered_messages",
            "Messages read from the store since no frame brought them",
            self._delivery.following.found,
        )
        yield CounterMetricFamily(
            "zmqchat_audits", "Times the store was asked for what was missed", self._recovery.audits
        )

        yield _labelled(
            CounterMetricFamily,
            "zmqchat_resumes",
            "Answers to clients that came back; of incomplete ones they load the history",
            "result",
            {"complete": 0, "incomplete": 0, **self._resumes.answers},
        )

    def _sessions(self) -> Iterator[Metric]:
        agents = len(self._delivery.sessions.agents)
        sessions = {"agent": agents, "customer": len(self._delivery.sessions) - agents}
        yield _labelled(
            GaugeMetricFamily, "zmqchat_sessions", "Open sessions here", "role", sessions
        )
        yield GaugeMetricFamily(
            "zmqchat_online_customers",
            "Customers online in the cluster",
            len(self._gossip.roster.users),
        )
        yield _labelled(
            CounterMetricFamily,
            "zmqchat_websocket_closes",
            "Closed by code",
            "code",
            dict(self._sockets.closes),
        )


def make_registry(collector: NodeCollector, *histograms: Collector) -> CollectorRegistry:
    """Gather everything a node counts."""
    registry = CollectorRegistry()
    for part in (collector, *histograms):
        registry.register(part)
    return registry


def _labelled(
    family: Callable[..., CounterMetricFamily] | Callable[..., GaugeMetricFamily],
    name: str,
    meaning: str,
    label: str,
    values: dict[str, int],
) -> Metric:
    metric = family(name, meaning, labels=[label])
    for value, count in values.items():
        metric.add_metric([value], count)
    return metric
