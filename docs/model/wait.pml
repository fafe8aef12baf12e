/* That every wait ends (safety.md section 2b, `progress`), and that no claim about epochs starts one (section 4a), for Spin.
 *
 * N members, each with a fault that stays, or none; one instance of the app that looks LOOKS times, ARM that works, no delay:
 * what may happen late is fence.pml's. The epoch counts from where the record starts. One member lies: it claims any epoch.
 */
#ifndef N
#define N 3
#endif
#define PATIENCE 2                     /* looks without progress */
#define LEAP 3                         /* how far an epoch counts that is claimed only */
#define TOP 40                         /* EPOCH_MAX: no operation is opened beyond it */
#define LOOKS 24
#define LEARN 0
#define FENCING 1
#define GRANTED 2
#define STABLE 3

/* ---- the members ---- */
#define FIT 0
#define REFUSES 1                      /* answers, and refuses PROMOTE: its disk is full */
#define DEAD 2                         /* does not answer, does not serve, and that is known */
#define CUT 3                          /* does not answer us, and no other source is conclusive: it keeps its role */
byte fault[N]; bit blocked[N];         /* blocked: the load balancer's probe does not reach it */
bit role[N], down[N]; byte at[N];      /* serves; adminState; the epoch of the last command that it obeyed, with its warrant */
byte liar = N, claim; bit ahead;       /* which one, if any; it claims one epoch more than the record at each look */
byte most = 4;                         /* the highest epoch that was ever opened */
#define ANSWERS(m) (fault[m] == FIT || fault[m] == REFUSES)
#define ADMITTED(m) (role[m] && !down[m] && !blocked[m])

/* ---- the record ---- */
byte phase, target, epoch, patience; bit may[N], fenced[N], refused[N], unfit[N], renew;

#ifdef MUT_NOPATIENCE                  /* no look uses up patience */
#define OVER 0
#else
#define OVER (patience >= PATIENCE)
#endif
#ifdef MUT_LEARNWAITS                  /* `learn` waits for every member */
#define LEARN_OVER 0
#else
#define LEARN_OVER OVER
#endif
#ifdef MUT_REFUSALFORGOTTEN            /* a refusal is no evidence about a candidate */
#define REMEMBERS 0
#else
#define REMEMBERS 1
#endif

inline receives(m) {                      /* what its agent makes of a claim: above its own epoch it stands by, if it believes it */
#ifdef MUT_CLAIMOBEYED                 /* an agent takes a peer's word for an epoch */
   if :: liar < N && liar != m && claim > at[m] -> role[m] = 0 :: else fi
#else
   skip
#endif
}
#ifdef MUT_CLAIMOBEYED
#define OUTRANKED(m) (liar < N && liar != (m) && claim > epoch)
#else
#define OUTRANKED(m) 0
#endif

inline newest() {                      /* the highest epoch that counts: the app's signed command, or in `learn` a claim within a leap */
   n = 0;
   for (m : 0 .. N-1) {
      if :: ANSWERS(m) && at[m] > n -> n = at[m] :: else fi };
#ifdef MUT_WARRANTIGNORED              /* nor does a signed command count */
   n = 0;
#endif
   l = (n > epoch -> n : epoch) + LEAP;
#ifdef MUT_LEAPFREE                    /* in `learn` any claim counts */
   l = TOP;
#endif
#ifdef MUT_CLAIMCOUNTS                 /* one agent's claim counts in every phase */
   if :: liar < N && ANSWERS(liar) && claim > n && claim <= l -> n = claim :: else fi
#else
   if :: phase == LEARN && liar < N && ANSWERS(liar) && claim > n && claim <= l -> n = claim :: else fi
#endif
}
inline elect() {                       /* the best one that is fit: who refused, or is not reached by the probe, is the last choice */
   c = N;
   for (m : 0 .. N-1) { if :: c == N && ANSWERS(m) && m != without && !refused[m] && !unfit[m] -> c = m :: else fi };
   for (m : 0 .. N-1) { if :: c == N && ANSWERS(m) && m != without -> c = m :: else fi } }
inline open(t) {
   newest();
   e = (n > epoch -> n : epoch) + 1;
   if
   :: e > TOP -> skip                  /* the record would be corrupt */
   :: else -> epoch = e; target = t; if :: e > most -> most = e :: else fi;
        if :: phase == LEARN -> for (m : 0 .. N-1) { may[m] = 1 } :: else fi;
        phase = FENCING; patience = 0
   fi }
inline next() {                        /* the next candidate, at epoch + 1: the target stays in may_serve, and is fenced */
   without = target; elect();
   if :: c < N -> renew = 0; open(c) :: else fi }
inline wait() { if :: patience < PATIENCE -> patience++ :: else fi }

active proctype App() { byte m, c, n, l, e, without, looks; bit ok;
 atomic {
   for (m : 0 .. N-1) {
      if :: fault[m] = FIT :: fault[m] = REFUSES :: fault[m] = DEAD :: fault[m] = CUT fi;
      if :: blocked[m] = 0 :: blocked[m] = 1 fi };
   if :: liar = N :: liar = 0; if :: ahead = 1 :: claim = LEAP+5 :: claim = TOP fi fi;
   for (m : 0 .. N-1) { if :: fault[m] == FIT && !blocked[m] && m != liar -> ok = 1 :: else fi };
   if :: ok :: else -> goto over fi;   /* one member at least is fit */
   ok = 0;
   /* member 0 served until now, the record is at rest, lost, or put back to an older one */
   if :: fault[0] != DEAD -> role[0] = 1 :: else fi;
   for (m : 0 .. N-1) { at[m] = 4 };
   may[0] = 1;
   if :: phase = STABLE; epoch = 4 :: phase = LEARN; epoch = 0 :: phase = STABLE; epoch = 1 fi
 }
 do
 :: atomic { looks < LOOKS -> looks++;
      if :: ahead -> claim = epoch+1 :: else fi;
      for (m : 0 .. N-1) { receives(m) };
      newest();
      if
      :: phase != LEARN && n > epoch -> assert(epoch < most); phase = LEARN; patience = 0; renew = 0;   /* the record is older than that */
           for (m : 0 .. N-1) { may[m] = 1; fenced[m] = 0 }
      :: phase == LEARN ->
           c = N; ok = 1;
           for (m : 0 .. N-1) { if :: fault[m] == CUT -> ok = 0 :: else fi };
           if
           :: !ok && !LEARN_OVER -> wait()
           :: else ->
                for (m : 0 .. N-1) { if :: fault[m] == CUT && ADMITTED(m) -> c = m :: else fi };
                for (m : 0 .. N-1) { if :: ANSWERS(m) && role[m] -> c = m :: else fi };
                renew = (c < N);
                if :: c == N -> without = N; elect() :: else fi;
                if :: c < N -> open(c) :: else fi
           fi
      :: phase == FENCING && fault[target] == DEAD -> next()
      :: phase == FENCING && fault[target] == CUT && !renew ->
           if :: OVER && !ADMITTED(target) -> next() :: else -> wait() fi
      :: phase == FENCING && (ANSWERS(target) || renew && fault[target] == CUT) ->
           for (m : 0 .. N-1) {
              if :: m != target && may[m] && ANSWERS(m) && epoch > at[m] -> at[m] = epoch; role[m] = 0; may[m] = 0
                 :: m != target && may[m] && !(ANSWERS(m) && epoch > at[m]) -> down[m] = 1; fenced[m] = 1
                 :: else fi };
           may[target] = 1; fenced[target] = 0; down[target] = 0; phase = GRANTED; patience = 0
      :: phase == GRANTED && fault[target] == DEAD -> next()
      :: phase == GRANTED && fault[target] == CUT ->
           if :: role[target] && ADMITTED(target) -> phase = STABLE
              :: else -> if :: OVER -> next() :: else -> wait() fi fi
      :: phase == GRANTED && ANSWERS(target) && !(role[target] && at[target] == epoch) ->
           if
           :: fault[target] == FIT && epoch > at[target] && !OUTRANKED(target) -> role[target] = 1; at[target] = epoch
           :: else -> refused[target] = REMEMBERS;
                without = target; elect();
                if :: ADMITTED(target) && fault[target] != FIT -> phase = STABLE      /* it serves, at an older epoch */
                   :: else -> if :: OVER || c < N && !refused[c] && !unfit[c] -> next() :: else -> wait() fi fi
           fi
      :: phase == GRANTED && ANSWERS(target) && role[target] && at[target] == epoch ->
           if :: ADMITTED(target) -> phase = STABLE
              :: else -> if :: OVER -> unfit[target] = 1; next() :: else -> wait() fi fi
      :: phase == STABLE ->
           if :: ADMITTED(target) -> skip
              :: else -> if :: fault[target] == FIT && blocked[target] -> unfit[target] = 1 :: else fi; next() fi
      fi;
      c = 0; n = 0; l = 0; e = 0; without = 0; ok = 0; m = 0 }
 :: atomic { looks == LOOKS ->
      for (m : 0 .. N-1) { if :: ADMITTED(m) -> ok = 1 :: else fi };
      assert(ok && epoch < TOP);
      break }
 od;
 over: skip }
