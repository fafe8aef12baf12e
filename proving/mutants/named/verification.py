"""Verification and the repairs of network flags: what is implied, what asking may cost, and what keeps a repair away."""

from proving.mutants.mutant import Mutant

EXPECTED = "function_app/domain/routes/expected.py"
ROUTES = "function_app/domain/routes/learned.py"
HUBS = "function_app/domain/routes/hubs.py"
NETWORK_GUARDS = "function_app/domain/networks/guards.py"
QUESTIONS = "function_app/reconcile/routes/operations.py"
VERIFY = "function_app/reconcile/routes/verify.py"
KEEPING = "function_app/reconcile/networks.py"
FLAGS = "function_app/adapters/arm/network_flags.py"

ROUTE_CASES = "tests/unit/test_routes.py"
FLAG_CASES = "tests/unit/test_networks.py"
IN_PASSES = "tests/unit/reconcile/test_verify.py"
ROWS = "tests/contract/test_adapters_azure_rows.py"
REPAIRS = "tests/unit/reconcile/test_networks.py"
OVER_ARM = "tests/contract/test_adapters_azure_verification.py"

IMPLIED = (
    Mutant(
        "a hub is expected to name itself",
        "hubs pass clients' routes on with the next hop unchanged",
        EXPECTED,
        "yield network, replace(way, as_path=(peer.asn, *way.as_path), length=length)",
        "yield network, replace(way, next_hop=peer.address, as_path=(peer.asn, *way.as_path), length=length)",
        (f"{ROUTE_CASES}::test_the_published_table_of_ten_nvas_behind_two_hubs_is_what_is_expected",),
    ),
    Mutant(
        "a relay without override is expected to arrive",
        "a Route Server drops a path that holds 65515",
        EXPECTED,
        "if relay.to == server and peer.as_override:",
        "if relay.to == server:",
        (f"{ROUTE_CASES}::test_a_relay_without_override_is_predicted_to_be_dropped_and_not_missed",),
    ),
    Mutant(
        "a length that may still change is judged",
        "only what was acknowledged and has landed is expected",
        EXPECTED,
        "        if known.at_rest\n",
        "",
        (f"{ROUTE_CASES}::test_a_length_that_may_still_change_is_not_judged",),
    ),
    Mutant(
        "one instance is enough",
        "both instances must have learned the same",
        ROUTES,
        "    elif without:\n",
        "    elif without and not rows:\n",
        (f"{ROUTE_CASES}::test_each_fault_is_found_alone_and_said",),
    ),
    Mutant(
        "a prefix on one instance only counts as carried",
        "losing any one hub loses nothing, on either instance",
        HUBS,
        "carriers.setdefault((route.network, route.instance), set()).add(peer)",
        "for instance in instances:\n                carriers.setdefault((route.network, instance), set()).add(peer)",
        (f"{ROUTE_CASES}::test_a_client_on_one_instance_only_would_be_lost_there_with_the_other_hub",),
    ),
)

ASKED = (
    Mutant(
        "questions have no budget",
        "a fifth of the write tokens is the fence's",
        QUESTIONS,
        "if not self.within_budget or not self.is_due(query):",
        "if not self.is_due(query):",
        (f"{IN_PASSES}::test_a_service_in_doubt_is_asked_again_soon_but_never_beyond_the_budget",),
    ),
    Mutant(
        "what ARM refuses is asked again at once",
        "Retry-After is honoured",
        QUESTIONS,
        "if query.key in self.started or query.key in self.deferred:",
        "if query.key in self.started:",
        (f"{IN_PASSES}::test_what_arm_refuses_is_not_asked_again_before_it_said_and_is_told",),
    ),
    Mutant(
        "an answer is as young as its hearing",
        "a look is as old as its question",
        QUESTIONS,
        "_answered(started.at, rows)",
        "_answered(self.clock.now(), rows)",
        (f"{IN_PASSES}::test_by_hand_everything_is_asked_and_nothing_is_changed",),
    ),
    Mutant(
        "an answer of no use is read again in each pass",
        "what is there for good is read once",
        QUESTIONS,
        "        except Unusable as error:\n            del self.started[query.key]\n",
        "        except Unusable as error:\n",
        (f"{ROWS}::test_an_answer_that_is_of_no_use_is_read_once_and_asked_for_again_in_its_time",),
    ),
    Mutant(
        "questions are asked beside a failover",
        "nothing is asked while an operation is open",
        VERIFY,
        "    if not basis.operations:\n",
        "    if True:\n",
        (f"{IN_PASSES}::test_nothing_is_asked_while_an_operation_is_open",),
    ),
)

REPAIRED = (
    *(
        Mutant(
            f"guard of flags dropped: {guard.replace('_', ' ')}",
            "a guard of domain/networks",
            NETWORK_GUARDS,
            f"    _{guard},\n",
            "",
            (FLAG_CASES,),
        )
        for guard in (
            "owned_only",
            "no_operation_is_open",
            "nothing_is_paused",
            "one_write_at_a_time",
            "not_again_so_soon",
        )
    ),
    Mutant(
        "a repair is begun before it is written down",
        "S7, no effect without its recorded intent",
        KEEPING,
        "        intent = Repaired(at={**self._known.at, name: at})\n",
        "        intent = Repaired(at={**self._known.at, name: at})\n"
        "        await self._ports.network_flags.repair(step)\n",
        (f"{REPAIRS}::test_owned_flags_are_repaired_one_write_a_pass",),
    ),
    Mutant(
        "a repair undoes what somebody else just wrote",
        "R5: every write is conditional",
        FLAGS,
        'return body, {"If-Match": read.etag} if read.etag else {}',
        "return body, {}",
        (f"{OVER_ARM}::test_a_change_of_somebody_elses_in_between_is_not_undone",),
    ),
    Mutant(
        "by hand, flags are repaired too",
        "`hopkeeper verify` and a dry run change nothing",
        KEEPING,
        "    elif dry_run:\n",
        "    elif dry_run and not records:\n",
        (f"{REPAIRS}::test_by_hand_flags_are_compared_and_never_repaired",),
    ),
)
