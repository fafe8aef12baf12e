"""Every mutant, by what it breaks. A rule that is added gets one here; a line that moves takes its mutant along."""

from lab.mutants.mutant import Mutant
from lab.mutants.named import (
    agent,
    evidence,
    executor,
    fencing,
    guards,
    learn,
    outward,
    protocol,
    ranked,
    rehearsal,
    verification,
    wire,
)

MUTANTS: tuple[Mutant, ...] = (
    *protocol.STEPS,
    *protocol.DECISIONS,
    *learn.LEARNED,
    *evidence.ROWS,
    *evidence.READINGS,
    *guards.DROPPED,
    *guards.MOVED,
    *guards.ORDERED,
    *executor.PASS,
    *executor.EFFECTS,
    *fencing.FENCE,
    *executor.OTHERS,
    *ranked.RANKED,
    *rehearsal.REHEARSALS,
    *wire.ARM,
    *wire.SIGNATURES,
    *agent.ROLES,
    *agent.DURABLE,
    *agent.HEARD,
    *agent.BELIEVED,
    *outward.TOLD,
    *verification.IMPLIED,
    *verification.ASKED,
    *verification.REPAIRED,
)
