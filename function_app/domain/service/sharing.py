"""`handover: seamless`: in a planned move the old holder and the target serve side by side until the load balancer has both.

The only operation in which two members may serve on purpose. Both are in `may_serve` before either is promoted (R1), and the
record says so (`Operation.sharing`). It grants nothing: whatever ends it is another operation, which fences one of the two by
the same proofs as any other, and so does every failover, order or older app that meets it half done (safety.md section 2a).
"""

from msgspec.structs import replace

from function_app.domain.service.decision import Decision
from function_app.domain.service.health import has_failed
from function_app.domain.service.look import Look
from function_app.domain.service.observation import Role
from function_app.domain.service.patience import patience_is_over
from function_app.domain.service.protocol import back, lift, open_operation, promote, send_fences
from function_app.domain.service.record import Kind
from function_app.domain.service.steps import REFUSED, AwaitProbe, Effect, SendPromote


def share(look: Look, target: str) -> Decision:
    """In place of step 2. The old holder is promoted to the new epoch first: an agent that serves stands by once it hears that a
    peer serves at a higher one."""
    record, operation = look.record, look.operation
    if operation is None or operation.previous is None:
        return send_fences(look)
    both = record.may_serve | {operation.previous, target}
    sharing = replace(record, may_serve=both, operation=replace(operation, sharing=True))
    return Decision(sharing, promote(look.with_record(sharing), operation.previous))


def side_by_side(look: Look, target: str) -> Decision:
    """The next step of an operation that shares.

    | what is seen                                            | then                                       |
    |---------------------------------------------------------|--------------------------------------------|
    | the target failed                                       | the old holder alone                       |
    | the old holder failed                                   | the target alone                           |
    | both serve, and the load balancer's probe found both up | the target alone                           |
    | both serve                                              | wait for the probe of the target           |
    | one does not serve at this epoch yet                    | PROMOTE, the old holder first              |
    | it refused, or patience is over                         | the old holder alone                       |
    """
    holder = look.operation.previous if look.operation else None
    if holder is None or has_failed(look, target):
        return back(look, f"{target} failed before the load balancer had it up")
    if has_failed(look, holder):
        return open_operation(look, target, Kind.RENEW, f"{holder} failed while {target} took over")
    late = next((name for name in (holder, target) if look.role(name) != (look.record.epoch, Role.SERVING)), None)
    wait = AwaitProbe(target, look.record.epoch, up=True, within=look.record.noticed_within)
    if late is None and wait in look.observed.awaited:
        return open_operation(look, target, Kind.RENEW, f"the load balancer has {target} up, beside {holder}")
    return _taken_back(look, target) or _due(look, wait, late)


def _taken_back(look: Look, target: str) -> Decision | None:
    """Step 4, before the target is promoted."""
    lifting = lift(look, target)
    return lifting if lifting and (lifting.effects or lifting.record != look.record) else None


def _due(look: Look, wait: AwaitProbe, late: str | None) -> Decision:
    tried = look.observed.tried
    waits: tuple[Effect, ...] = () if wait in tried else (wait,)
    if due := promote(look, late) if late else waits:
        return Decision(look.record, due)
    failed = [why for effect, why in tried.items() if isinstance(effect, SendPromote | AwaitProbe)]
    why = "; ".join(failed) or f"{late} does not answer"
    if patience_is_over(look) or why.startswith(REFUSED):
        return back(look, why)
    return Decision(look.record, held=(f"both may serve: {why}",))
