"""Faults of the world's own, planted one at a time to see that each law bites. All off in a storm.

A product that is right cannot break a law, so the world has to: each of these makes it lie, forget or disobey.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bugs:
    """Named for what is wrong; the law that should notice is in the comment."""

    promotes_all: bool = False  # S1: every member obeys a PROMOTE, whoever it is for
    grants_at_once: bool = False  # S2: a record that says `fencing` is stored as `granted`, without proof
    forgets_members: bool = False  # S3: may_serve is stored empty
    fences_inside: bool = False  # S4: the outer of two load balancers takes no Down, and the health action says it does
    misreads_prefixes: bool = False  # S21: passes take the document for one with another prefix
    fences_all: bool = False  # S21: every member obeys a FENCE, whoever it is for
    fences_nothing: bool = False  # S4: the data plane ignores Down, and the health action says it does not
    flattens_paths: bool = False  # S1r: announcers give every path the same length
    keeps_paths: bool = False  # L7 of ranked histories: announcers accept another path, and go on with the one they had
    rewinds_epochs: bool = False  # S5: a grant is stored with the epoch before it
    never_saves: bool = False  # S6: an agent's disk takes nothing, and says it did
    loses_records: bool = False  # S7: storage takes a record, and forgets it
    slanders: bool = False  # S8, L5: everybody says that the first member is dead, and it is kept from answering
    lifts_up: bool = False  # S9: what is written as None leaves as Up
    hides_peers: bool = False  # S10: the Route Server does not show what is not ours
    hides_pauses: bool = False  # S11: a pause is kept and not shown
    hides_newness: bool = False  # S11: a record of a newer schema is shown as one of ours
    swaps_targets: bool = False  # S12: a grant is stored for another target than was opened
    obeys_anything: bool = False  # S13: agents take any FENCE, also of an earlier epoch
    drops_members: bool = False  # S14: a write of one member's adminState empties the pool
    believes_disks: bool = False  # S1: an agent answers after a boot by its disk alone
    boots_serving: bool = False  # S15: an agent boots as serving whatever its disk says
    is_moody: bool = False  # S16: what is told the other way round is not the same
    believes_documents: bool = False  # S19: the newest document is in force, whatever it takes away
    ignores_promotes: bool = False  # L1, L3: agents answer a PROMOTE and do nothing
    ignores_outward: bool = False  # L1: agents take what is outward and do nothing
    never_fences: bool = False  # L2: a Down never reaches the data plane
    flutters: bool = False  # S1, S20: health says up and down in turn, whatever is so
    never_lifts: bool = False  # L4: a None never reaches the data plane
    mutes_all: bool = False  # L6: no member ever answers us, and their peers hear them
    ignores_etag: bool = False  # S12 or another: storage and ARM write whatever the etag
