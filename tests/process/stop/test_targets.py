"""Who is asked to stop, decided over trees of processes; the names say who must get it and who must not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootstrap.process.stop.targets import Identity, Member, ProcessTree, Role, all_ranks, launchers, who_listens

US = 1  # the parent of the command


def tree(*members: Member) -> ProcessTree:
    """The command is the first."""
    return ProcessTree({one.pid: one for one in members}, members[0].pid)


def of(pid: int, parent: int = US, **facts: object) -> Member:
    return Member(pid, parent, started=pid, group=int(facts.pop("group", 10)), **facts)  # type: ignore[arg-type,call-overload]


def asked(tree: ProcessTree, **options: object) -> dict[int, Role]:
    return {one.pid: role for one, role in who_listens(tree, **options).items()}  # type: ignore[arg-type]


def test_who_listens_gets_it_and_its_workers_do_not() -> None:
    train = tree(of(10, listens=True), of(11, 10), of(12, 10, listens=True))
    assert asked(train) == {10: Role.LISTENER}


def test_a_shell_without_a_trap_gets_it_too_and_the_tee_does_not() -> None:
    piped = tree(of(10, shell=True), of(11, 10, listens=True), of(12, 10), of(13, 11))
    assert asked(piped) == {10: Role.ABOVE, 11: Role.LISTENER}


def test_a_python_that_calls_a_shell_that_calls_the_program() -> None:
    conda = tree(of(10), of(11, 10, shell=True), of(12, 11, listens=True), of(13, 12))
    assert asked(conda) == {10: Role.ABOVE, 11: Role.ABOVE, 12: Role.LISTENER}


def test_where_nobody_listens_nobody_is_chosen() -> None:
    assert asked(tree(of(10, shell=True), of(11, 10), of(12, 11))) == {}


def test_workers_that_are_copies_of_one_that_does_not_listen_are_no_listeners() -> None:
    """PyTorch's own loader workers have a handler for TERM."""
    assert asked(tree(of(10), of(11, 10, listens=True, copy=True))) == {}


def test_a_trap_that_forwards_is_trusted_with_what_it_started_behind_it() -> None:
    script = tree(of(10, shell=True, listens=True), of(11, 10, listens=True, background=True), of(12, 11))
    assert asked(script) == {10: Role.LISTENER}


def test_a_trap_hears_only_when_what_the_shell_waits_for_has_ended() -> None:
    script = tree(of(10, shell=True, listens=True), of(11, 10, listens=True), of(12, 10))
    assert asked(script) == {10: Role.LISTENER, 11: Role.LISTENER}
    sleeping = tree(of(10, shell=True, listens=True), of(11, 10), of(12, 11), of(13, 10, background=True))
    assert asked(sleeping) == {10: Role.LISTENER, 11: Role.FOREGROUND, 12: Role.FOREGROUND}


@pytest.mark.parametrize("group", [9, 11])
def test_a_job_of_the_shell_in_a_group_of_its_own_is_not_waited_for(group: int) -> None:
    script = tree(of(10, shell=True, listens=True), of(11, 10, listens=True, group=group))
    assert asked(script) == {10: Role.LISTENER}


def test_who_stands_above_one_that_was_asked_before_is_asked_too() -> None:
    """A shell that did not count then: it ran a trap, or its line could not be read."""
    script = tree(of(10, shell=True), of(11, 10, listens=True))
    assert asked(script, trusted={Identity(11, 11)}) == {10: Role.ABOVE}


def test_what_a_shell_waits_for_is_not_asked_as_nobodys_when_its_listener_was_asked_before() -> None:
    script = tree(of(10, shell=True, listens=True), of(11, 10), of(12, 11, listens=True), of(13, 11))
    assert asked(script, trusted={Identity(12, 12)}) == {10: Role.LISTENER, 11: Role.ABOVE}


def test_what_a_trap_itself_runs_is_not_asked() -> None:
    saving = tree(of(10, shell=True, listens=True), of(99, 10))
    assert asked(saving, trusted={Identity(10, 10)}) == {}


def test_one_that_hears_a_moment_later_is_found_by_the_next_look() -> None:
    early = tree(of(10, shell=True), of(11, 10, listens=True), of(12, 10))
    late = tree(of(11, US, listens=True), of(12, US, listens=True))
    late = ProcessTree(late.members, 10)
    assert asked(early) == {10: Role.ABOVE, 11: Role.LISTENER}
    assert asked(late, trusted={Identity(11, 11)}) == {12: Role.LISTENER}


def test_one_that_inherited_a_mask_and_waits_for_nothing_is_not_trusted() -> None:
    deaf = tree(of(10, listens=True, deaf=True), of(11, 10, listens=True))
    assert asked(deaf, trusted={Identity(10, 10)}) == {11: Role.LISTENER}


def test_orphans_of_sessions_of_their_own_are_asked_when_the_command_has_ended() -> None:
    far = tree(of(10, listens=True), of(20, US, listens=True, ours=False))
    assert asked(far) == {10: Role.LISTENER}
    assert asked(ProcessTree({20: far.members[20]}, 10), ended=True) == {20: Role.LISTENER}


@pytest.mark.parametrize("listening_launcher", [True, False])
def test_ranks_that_listen_get_it_and_their_launcher_does_not(listening_launcher: bool) -> None:
    torchrun = tree(
        of(10, shell=True),
        of(11, 10, listens=listening_launcher),
        of(12, 11, listens=True, rank=("LOCAL_RANK=0",)),
        of(13, 11, listens=True, rank=("LOCAL_RANK=1",)),
        of(14, 12, listens=True, copy=True, rank=("LOCAL_RANK=0",)),
    )
    assert asked(torchrun) == {10: Role.ABOVE, 12: Role.RANK, 13: Role.RANK}
    everybody = dict.fromkeys((one.identity for one in torchrun.members.values()), Role.RANK)
    assert Identity(11, 11) in launchers(torchrun, everybody)


def test_ranks_that_do_not_listen_leave_it_to_their_launcher_whatever_their_workers_do() -> None:
    torchrun = tree(
        of(10, listens=True),
        of(12, 10, rank=("LOCAL_RANK=0",)),
        of(14, 12, listens=True, copy=True, rank=("LOCAL_RANK=0",)),
    )
    assert asked(torchrun) == {10: Role.LISTENER}
    assert {one.pid for one in all_ranks(torchrun)} == {12}


def test_a_ranks_wrapper_is_left_alone_and_the_program_in_it_is_asked() -> None:
    rank = ("OMPI_COMM_WORLD_LOCAL_RANK=0",)
    wrapped = tree(
        of(10, listens=True), of(11, 10, shell=True, rank=rank), of(12, 11, listens=True, rank=rank), of(13, 12)
    )
    assert asked(wrapped) == {12: Role.RANK}


def test_who_stands_above_ranks_is_asked_once() -> None:
    family = tree(of(10, shell=True), of(11, 10), of(12, 11, listens=True, rank=("LOCAL_RANK=0",)))
    assert asked(family) == {10: Role.ABOVE, 12: Role.RANK}
    assert asked(family, trusted=[Identity(10, 10)]) == {12: Role.RANK}


def test_what_a_ranks_own_shell_waits_for_is_no_rank() -> None:
    wrapped = of(12, 11, listens=True, shell=True, rank=("LOCAL_RANK=0",))
    family = tree(of(10), of(11, 10), wrapped, of(13, 12, rank=("LOCAL_RANK=0",)))
    assert asked(family) == {10: Role.ABOVE, 12: Role.RANK, 13: Role.FOREGROUND}


def test_a_script_that_starts_ranks_itself_does_not_go_on_behind_them() -> None:
    loop = tree(of(10, shell=True), *(of(n, 10, listens=True, rank=(f"LOCAL_RANK={n}",)) for n in (11, 12)))
    assert asked(loop) == {10: Role.ABOVE, 11: Role.RANK, 12: Role.RANK}


def test_a_variable_of_the_container_makes_nobody_a_rank() -> None:
    here = ("LOCAL_RANK=0",)
    plain = tree(of(10, rank=here, shell=True), of(11, 10, rank=here, listens=True))
    assert not plain.ranks
    assert asked(plain) == {10: Role.ABOVE, 11: Role.LISTENER}


@st.composite
def trees(draw: st.DrawFn) -> ProcessTree:
    """Any family: who is whose child, who listens, who is a shell or a rank. Some were orphaned."""
    count = draw(st.integers(1, 12))
    members = []
    for pid in range(10, 10 + count):
        parent = draw(st.sampled_from([US, *range(10, pid)])) if pid > 10 else US
        members.append(
            of(
                pid,
                parent,
                listens=draw(st.booleans()),
                shell=draw(st.booleans()),
                background=draw(st.booleans()),
                copy=draw(st.integers(0, 4)) == 0,
                ours=draw(st.booleans()),
                rank=draw(st.sampled_from([(), (), ("LOCAL_RANK=0",), ("LOCAL_RANK=1",)])),
                group=draw(st.sampled_from([10, pid])),
            )
        )
    return tree(*members)


@given(trees())
def test_of_any_tree_somebody_who_can_hear_is_asked_or_nobody_can(family: ProcessTree) -> None:
    targets = who_listens(family, ended=True)
    hearing = [one for one in family.members.values() if one.listens and not one.copy]
    assert bool(targets) == bool(hearing)
    chosen = {family.members[one.pid]: role for one, role in targets.items()}
    for member, role in chosen.items():
        if role in (Role.LISTENER, Role.RANK) and not member.shell:
            assert member.listens and not member.copy
            assert not any(below in chosen for below in family.below(member)), "it is trusted with what is below"
        if role is Role.ABOVE:
            assert not member.listens or member.copy
            assert any(below in chosen and chosen[below].trusted for below in family.below(member))


@given(trees())
def test_of_any_tree_nobody_is_left_to_be_asked_when_all_that_listen_have_been(family: ProcessTree) -> None:
    trusted: set[Identity] = set()
    for _ in range(len(family.members) + 1):
        fresh = {one for one, role in who_listens(family, trusted=trusted, ended=True).items() if role.trusted}
        if not fresh - trusted:
            return
        for one in fresh:
            trusted |= {one, *(below.identity for below in family.below(family.members[one.pid]))}
    raise AssertionError("looks did not come to an end")
