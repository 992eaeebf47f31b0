"""What happens to a simulated cluster, step by step; every step is checked for what must not be."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from scripts.simulation.checks import Checks
from scripts.simulation.script import (
    AddNode,
    Check,
    Close,
    CutLink,
    Expect,
    ExpectAgreement,
    HealLink,
    JumpClock,
    Kill,
    Leave,
    Open,
    Pause,
    Restart,
    Resume,
    Stall,
    StartForwarder,
    Step,
    StopForwarder,
    Wait,
    play,
)
from scripts.simulation.world import SimulationError, World
from zmqchat.core.members import Life
from zmqchat.core.roster import Shown

ALL = (1, 2, 3, 4, 5)
OTHERS = ALL[1:]
ONLINE, OFFLINE, UNKNOWN = Shown.ONLINE, Shown.OFFLINE, Shown.UNKNOWN


def tell(
    steps: Iterable[Step],
    *,
    nodes: int = 5,
    forwarders: Iterable[str] = (),
    guards_pauses: bool = True,
) -> Checks:
    """Play a story in a cluster where u1 has a session on node 1."""
    world = World(nodes, 7, forwarders=forwarders, guards_pauses=guards_pauses)
    checks = Checks(world)
    play(world, [Open(1, "u1"), Wait(1.0), *steps])
    return checks


def down(node: int, *viewers: int) -> Check:
    """A node is down to some."""

    def holds(world: World) -> bool:
        lives = [world.hosts[viewer].engine.members.get(node) for viewer in viewers]
        return all(member is not None and member.life is Life.DOWN for member in lives)

    return Check(f"{node} is down", holds)


def test_a_killed_node_of_a_direct_mesh_is_found_out_at_once() -> None:
    """Its users are unknown in milliseconds, it is down after 1 s, they are offline 5 s later."""
    tell(
        [
            Expect("u1", ONLINE, ALL),
            Kill(1),
            Wait(0.3),
            Expect("u1", UNKNOWN, OTHERS),
            Wait(1.2),
            down(1, *OTHERS),
            Wait(4.4),
            Expect("u1", UNKNOWN, OTHERS),
            Wait(0.8),
            Expect("u1", OFFLINE, OTHERS),
        ]
    )


def test_a_user_who_comes_back_elsewhere_is_never_offline() -> None:
    """Though its node died, and though that is found out later."""
    tell([Kill(1), Wait(4.0), Open(2, "u1"), Wait(10.0), Expect("u1", ONLINE, OTHERS)])


def test_through_a_forwarder_beats_alone_tell() -> None:
    """Unknown after 60 % of D, down after D."""
    tell(
        [
            Kill(1),
            Wait(3.7),
            Expect("u1", UNKNOWN, OTHERS),
            Wait(1.9),
            down(1, *OTHERS),
            Wait(5.0),
            Expect("u1", OFFLINE, OTHERS),
        ],
        forwarders=["f1"],
    )


@pytest.mark.parametrize("away_s", [0.2, 2.0, 20.0])
def test_a_new_life_leaves_nothing_of_the_old_one(away_s: float) -> None:
    """However soon a killed node is back, its old sessions are gone and the new ones are there."""
    tell(
        [
            Kill(1),
            Wait(away_s),
            Restart(1),
            Open(1, "u2"),
            Wait(1.0),
            ExpectAgreement(),
            Wait(10.0),
            Expect("u1", OFFLINE, ALL),
            Expect("u2", ONLINE, ALL),
        ]
    )


@pytest.mark.parametrize("forwarders", [(), ("f1",)])
def test_a_stopped_node_recovers_by_itself(forwarders: tuple[str, ...]) -> None:
    """It is down within 6 s, and when it goes on nobody is in doubt about anybody any more."""
    tell(
        [
            Pause(1),
            Wait(6.0),
            down(1, *OTHERS),
            Open(2, "u2"),
            Wait(6.0),
            Expect("u1", OFFLINE, OTHERS),
            Resume(1),
            Wait(0.4),
            ExpectAgreement(),
            Expect("u1", ONLINE, ALL),
            Expect("u2", ONLINE, ALL),
        ],
        forwarders=forwarders,
    )


def test_a_short_pause_is_no_news() -> None:
    """What a node missed it finds in its queues."""
    checks = tell([Pause(1), Wait(1.2), Open(2, "u2"), Resume(1), ExpectAgreement(), Wait(5.0)])
    assert checks.deaths == 0


def test_without_the_only_forwarder_nobody_is_offline() -> None:
    """For half a minute all others are unknown, then presence is whole again."""
    checks = tell(
        [
            Close(1, "u1"),  # it may have gone to a node that is not heard any more
            Wait(0.2),
            StopForwarder("f1"),
            Open(3, "u3"),
            Wait(30.0),
            Expect("u1", UNKNOWN, OTHERS),
            Expect("u3", ONLINE, (3,)),
            Open(2, "u1"),
            StartForwarder("f1"),
            Wait(0.31),
            ExpectAgreement(),
            Wait(20.0),
            Expect("u1", ONLINE, ALL),
            Expect("u3", ONLINE, ALL),
        ],
        forwarders=["f1"],
    )
    assert checks.deaths == 0


def test_with_one_of_two_forwarders_nothing_changes() -> None:
    """Frames came twice; now they come once."""
    checks = tell(
        [
            StopForwarder("f1"),
            Wait(0.5),
            Expect("u1", ONLINE, ALL),
            Wait(9.0),
            StartForwarder("f1"),
        ],
        forwarders=["f1", "f2"],
    )
    assert checks.deaths == 0


@pytest.mark.parametrize("silent", [True, False])
def test_one_way_that_is_cut_kills_nobody(silent: bool) -> None:
    """Others relay the beats; what was missed is fetched when the way is back."""
    checks = tell(
        [
            CutLink(1, 2, silent=silent),
            Open(1, "u2"),
            Wait(20.0),
            Expect("u1", ONLINE, ALL),
            HealLink(1, 2),
            Wait(0.31),
            ExpectAgreement(),
            Expect("u2", ONLINE, ALL),
        ]
    )
    assert checks.deaths == 0


def test_a_burst_that_is_lost_is_fetched() -> None:
    """A node that did not read for a while has all of it soon after."""
    tell([Stall(1, 2, 2.0), Open(1, "u2"), Wait(2.0), ExpectAgreement()])


def test_of_two_nodes_one_dies() -> None:
    """Nobody can confirm it; its closed port does."""
    tell(
        [
            Kill(1),
            Wait(0.1),
            Expect("u1", UNKNOWN, (2,)),
            Wait(2.2),
            down(1, 2),
            Wait(5.2),
            Expect("u1", OFFLINE, (2,)),
        ],
        nodes=2,
    )


def test_a_node_that_leaves_takes_its_users_along_slowly() -> None:
    """They have 30 s to come back elsewhere."""
    tell([Leave(1), Wait(29.5), Expect("u1", ONLINE, OTHERS), Wait(1.0)])


def test_a_newcomer_knows_everybody_within_a_second() -> None:
    """And is known."""
    tell([AddNode(6), Wait(1.0), ExpectAgreement(), Expect("u1", ONLINE, (*ALL, 6))])


def test_a_clock_that_jumps_kills_nobody() -> None:
    """The node takes it for a pause of its own."""
    checks = tell([JumpClock(2, 100.0), Wait(10.0), ExpectAgreement(), Expect("u1", ONLINE, ALL)])
    assert checks.deaths == 0


def test_without_the_guard_a_jump_does_kill() -> None:
    """So the test before this one can fail."""
    checks = tell([JumpClock(2, 100.0), Wait(10.0)], guards_pauses=False)
    assert checks.false_deaths > 0


def test_a_wrong_expectation_names_the_seed_and_the_last_events() -> None:
    """Whoever sees it can see it again."""
    with pytest.raises(SimulationError) as failed:
        tell([Expect("u1", OFFLINE, (2,))])
    assert "2 shows u1 online, not offline" in str(failed.value)
    assert "seed 7" in str(failed.value)
    assert "u1 opens" in str(failed.value)
