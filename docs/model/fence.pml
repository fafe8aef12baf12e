/* The promotion protocol behind a load balancer, for Spin: README.md says which rule is which line and how to run it.
 *
 * N members, E epochs, R instances of the Function App. Everything that a cloud may do to them is a step of its own:
 * a command once sent arrives any number of times, in any order, ever or never; a write is in flight for as long as it
 * likes and lands or is refused by its etag; a landed write reaches the data plane later, behind the ones before it;
 * an instance may stop at any step and lose all it knew, or go on with a record that has moved.
 *
 * Not here, because it only takes behaviour away from these: an agent that is down (it obeys nothing and answers
 * nothing, which every agent here may do for as long as it likes), boot ids, the evidence for a failover (here one is
 * opened for any member at any time), and `learn` (README.md).
 *
 * Three more worlds, each by its name: FOREIGN, another owner writes the pool without adminState; RESTORED, a machine comes
 * back as it was at an earlier epoch, and serves; SEAMLESS, two serve on purpose in a planned move.
 */
#ifndef N
#define N 2
#endif
#ifndef E
#define E 3
#endif
#ifndef R
#define R 1
#endif
#define LAG 3                          /* changes of one member's adminState that may be on their way at once */
#define AT(i,e) ((i)*(E+1)+(e))
#define MY(j) own[me*N+(j)]

/* ---- the world ---- */
byte maxep[N]; bit role[N];            /* agent: durable {epoch, role}; role 1 answers its probe with 200 */
bit promote[N*(E+1)], fence[N*(E+1)];  /* commands ever sent, by member and epoch */
bit ack[N];                            /* the agent has acknowledged FENCE at the record's epoch */
bit cp[N];                             /* adminState as ARM shows it: 1 is Down, 0 is None */
byte lag[N];                           /* changes that the data plane has not applied yet, oldest first */
#define DOWN(j) (cp[j] ^ (lag[j] & 1)) /* what the data plane does, and what the rule's health action says */
bit fl_used[2]; byte fl_to[2]; bit fl_down[2]; byte fl_by[2];  /* PUTs in flight; all carry the etag that is current */

/* ---- the record: one blob, written by compare-and-swap ---- */
byte epoch; byte target; bit granted = 1;   /* granted 0: fencing; 1: granted or stable */
bit may[N];                                 /* may_serve */
bit fenced[N];
byte owed[N];                               /* 0 not owed, 1 since this epoch, 2 since an earlier one */

/* ---- an instance ---- */
bit stale[R];                          /* the record was written since this instance read it: its next CAS fails */
bit etag[R];                           /* it holds the load balancer's current etag (GET) */
byte own[R*N];                       /* what came of its own writes of this operation, by member: */
#define NOTHING 0
#define WROTE_DOWN 1                   /* its PUT Down has succeeded */
#define PROVEN 2                       /* ... and GET shows Down, and the health action says Down_Admin: F2 */
#define WROTE_NONE 3                   /* its PUT None has succeeded */
#define NOBODY R

/* ---- what excuses a member in the other worlds: for no longer than until the next look, and what follows from it ---- */
#define LATELY 2                       /* since it happened, no look has shown it */
#define RENEWING 1                     /* a look has; the operation that follows is not granted yet */
#ifdef FOREIGN
byte foreign = 1;                      /* writes of another owner that are still to come */
byte undone[N];                        /* LATELY, RENEWING: it took the member's Down back */
bit behind[N];                         /* the data plane still applies what it found on its way then */
#define TAKEN_BACK(j) (undone[j] || behind[j])
#define CONTRADICTED(j) (fenced[j] && !cp[j])
#else
#define TAKEN_BACK(j) 0
#define CONTRADICTED(j) 0
#endif
#ifdef RESTORED
bit restores = 1;                      /* machines that are still to be restored */
byte risen[N];                         /* LATELY, RENEWING: it serves by a disk from before its fence */
#define RISEN(j) (risen[j] > 0)
#define ADMITTED(j) ((j) != target && !fenced[j] && ELIGIBLE(j))   /* two looks in a row: here a look is as good as two */
#else
#define RISEN(j) 0
#define ADMITTED(j) 0
#endif
#define EXCUSED(j) (TAKEN_BACK(j) || RISEN(j))
#ifdef SEAMLESS
bit sharing;                           /* the record: the operation lets `holder` and `target` serve side by side */
bit two;                               /* it did, and no operation was granted since */
byte holder, second;                   /* which two */
#endif
#ifdef MUT_OLDLIFT                     /* that a lift was seen to let go counts beyond its operation */
bit lifted[R*N];
#endif

/* ---- mutants: each takes one rule away ---- */
#ifdef MUT_NOEPOCH                     /* R7: the agent does not compare epochs */
#define NEWER(i,e) 1
#else
#define NEWER(i,e) ((e) > maxep[i] || ((e) == maxep[i] && role[i]))
#endif
#ifdef MUT_CPONLY                      /* R4: GET shows Down, the health action is not asked */
#define SHOWS_DOWN(j) cp[j]
#else
#define SHOWS_DOWN(j) (cp[j] && DOWN(j))
#endif
#ifdef MUT_SKIPPUT                     /* R4: a Down found there is proof, without a write of our own */
#define OWN_DOWN(j) (MY(j) != PROVEN)
#else
#define OWN_DOWN(j) (MY(j) == WROTE_DOWN)
#endif
#ifdef MUT_STALEHEALTH                 /* R4: an old Down_Admin, its lift still on its way, is taken for ours */
#define LIFT_ARRIVED(j) 1
#else
#define LIFT_ARRIVED(j) (owed[j] == 1 || cp[j] || !DOWN(j))
#endif
#ifdef MUT_LIFTBLIND                   /* None is written over a Down that the data plane has not seen yet */
#define FENCE_ARRIVED(j) 1
#else
#define FENCE_ARRIVED(j) (!cp[j] || DOWN(j))
#endif
#ifdef MUT_LIFTEARLY                   /* owed is settled by the write, before the data plane has let go */
#define LET_GO(j) (!cp[j])
#else
#define LET_GO(j) (!cp[j] && !DOWN(j))
#endif
#ifdef MUT_LIFTNOWRITE                 /* a None found there settles what is owed, without a write of our own */
#define OWN_NONE(j) 1
#else
#define OWN_NONE(j) (MY(j) == WROTE_NONE)
#endif
#ifdef MUT_LIFTNOPROOF                 /* R6: any member is lifted */
#define LIFTABLE(j) 1
#else
#define LIFTABLE(j) ((j) == target || !may[j])
#endif
#define MAY_LIFT(j) (granted -> LIFTABLE(j) : (j) == target)
#ifdef MUT_LIFTFIRST                   /* R6: None is written while the record still believes in the fence */
#define DISBELIEVED(j) 1
#else
#define DISBELIEVED(j) (!fenced[j])
#endif
#ifdef MUT_NOOWE                       /* ADR 1: Down is written before it is owed */
#define OWED_FIRST(j) 1
#else
#define OWED_FIRST(j) (owed[j] > 0)
#endif
#ifdef MUT_NOFENCE                     /* R2: nobody needs a proof */
#define NEEDS(j) 0
#else
#ifdef MUT_FENCEACTIVEONLY             /* R2: only the last holder does */
byte before;
#define NEEDS(j) (may[j] && !fenced[j] && (j) == before)
#else
#define NEEDS(j) (may[j] && !fenced[j])
#endif
#endif
#ifdef MUT_NOREVALIDATE                /* 2b: a believed fence is compared with no reading */
#undef CONTRADICTED
#define CONTRADICTED(j) 0
#endif
#ifdef MUT_PROOFKEPT                   /* 2b: nor is a proof that is not granted yet */
#define PROOF_GONE(j) 0
#else
#define PROOF_GONE(j) (MY(j) == PROVEN && !cp[j])
#endif
#ifdef MUT_ADMITTEDIGNORED             /* 2b: a member that the load balancer admits, and that was granted nothing, is no matter */
#undef ADMITTED
#define ADMITTED(j) 0
#endif
#ifdef MUT_SHAREANY                    /* 2a: an operation that shares follows one that is not granted */
#define MAY_SHARE 1
#else
#define MAY_SHARE granted
#endif
#ifdef SEAMLESS
#define IS_SHARED sharing
#ifdef MUT_SHAREGRANTS                 /* 2a: an operation that shares is granted as it is */
#undef NEEDS
#define NEEDS(j) (!sharing && may[j] && !fenced[j])
#endif
#else
#define IS_SHARED 0
#endif
#if defined(MUT_NOEPOCH) || defined(MUT_NOPERSIST)
#define DEAD(i,e) 0
#else
#define DEAD(i,e) ((e) <= maxep[i])    /* a command that can change nothing any more: not sent, and forgotten */
#endif

/* ---- what must hold (safety.md section 6) ---- */
#define WILL(i) role[i]
#define ELIGIBLE(i) (role[i] && !DOWN(i))
#define UNFENCED(i) (may[i] && !fenced[i])
#if N == 2
#define PAIR(P) (P(0) && P(1))
#define ALL(P) (P(0) && P(1))
#else
#define PAIR(P) ((P(0) && P(1)) || (P(0) && P(2)) || (P(1) && P(2)))
#define ALL(P) (P(0) && P(1) && P(2))
#endif
#define UNEXCUSED(i) (ELIGIBLE(i) && !EXCUSED(i))
#ifdef SEAMLESS
#define ON_PURPOSE(i) (!ELIGIBLE(i) || (i) == holder || (i) == second)
#define S1 (!PAIR(UNEXCUSED) || (two && ALL(ON_PURPOSE)))
#else
#define S1 (!PAIR(UNEXCUSED))                                  /* at most one member is eligible */
#endif
#define S2 (!granted || !PAIR(UNFENCED))                       /* at most one may serve unfenced, once granted */
#define KNOWN(i) (!role[i] || may[i] || RISEN(i))
#define S3 (ALL(KNOWN))                                        /* who serves is in may_serve */
#define HELD(i) (!fenced[i] || (cp[i] && DOWN(i)) || TAKEN_BACK(i))
#define S4 (ALL(HELD))                                         /* who is fenced is Down in the data plane */
#define OURS(i) (!cp[i] || owed[i])
#define S_OWED (ALL(OURS))                                     /* a Down of ours is owed (ADR 1) */
#ifdef FOREIGN
#define SINGLE(i) 1                                            /* another owner's writes wait for none */
#else
#define SINGLE(i) (lag[i] <= 1)
#endif
#define S_ONE (ALL(SINGLE))                                    /* one change of a member at a time is on its way */

#if defined(REACH_AGENT)               /* a failover by acknowledgement completes */
#define OK (!(ELIGIBLE(1) && !WILL(0) && !owed[0]))
#elif defined(REACH_BALANCER)          /* one by the load balancer completes while the old agent still answers 200 */
#define OK (!(ELIGIBLE(1) && WILL(0) && DOWN(0)))
#elif defined(REACH_RETURN)            /* a member that was fenced so is lifted and serves again */
bit was;
#define OK (!(was && ELIGIBLE(0) && !owed[0]))
#elif defined(REACH_RENEWED)           /* a fence that another owner took back is made anew, for the same holder */
bit was;
#define OK (!(was && granted && target == 1 && ELIGIBLE(1) && fenced[0] && WILL(0) && DOWN(0)))
#elif defined(REACH_RISEN)             /* a restored machine that serves is fenced again */
bit was;
#define OK (!(was && granted && target == 1 && ELIGIBLE(1) && !ELIGIBLE(0)))
#elif defined(REACH_SHARED)            /* two serve side by side, and then the target alone */
bit was;
#define OK (!(was && granted && target == 1 && ELIGIBLE(1) && !WILL(0)))
#elif defined(ONLY_S1)
#define OK S1
#elif defined(ONLY_S2)
#define OK S2
#elif defined(ONLY_OWED)
#define OK S_OWED
#else
#define OK (S1 && S2 && S3 && S4 && S_OWED && S_ONE)
#endif
#define CHECK assert(OK)

inline lands_in(s) {                   /* a PUT lands: the etag changes, so nothing else in flight can land */
   if :: cp[fl_to[s]] != fl_down[s] -> cp[fl_to[s]] = fl_down[s]; lag[fl_to[s]]++
      :: else fi;
   if :: fl_by[s] < R -> own[fl_by[s]*N+fl_to[s]] = (fl_down[s] -> WROTE_DOWN : WROTE_NONE) :: else fi;
   drop(s);
#ifndef MUT_NOIFMATCH
   drop(0); drop(1);
#endif
   for (k : 0 .. R-1) { etag[k] = 0 }; k = 0 }
inline drop(s) { fl_used[s] = 0; fl_to[s] = 0; fl_down[s] = 0; fl_by[s] = 0 }

inline obeyed(i) {                     /* what it was restored to is over: it has obeyed since */
#ifdef RESTORED
   risen[i] = 0
#else
   skip
#endif
}

active proctype World() { byte i, e, k;
 end: do
 :: atomic { select(i : 0 .. N-1); select(e : 1 .. E);          /* a command is delivered */
      if
      :: promote[AT(i,e)] && NEWER(i,e) -> maxep[i] = e; role[i] = 1; obeyed(i)
      :: fence[AT(i,e)] && (e > maxep[i] || (e == maxep[i] && !role[i])) -> maxep[i] = e; role[i] = 0; obeyed(i);
           if :: e == epoch -> ack[i] = 1 :: else fi
#ifdef MUT_ACKSTALE                    /* R3: FENCE is acknowledged without having been applied */
      :: fence[AT(i,e)] && e == epoch -> ack[i] = 1
#endif
      :: else fi;
#if !defined(MUT_NOEPOCH) && !defined(MUT_NOPERSIST)
      for (k : 1 .. E) { if :: DEAD(i,k) -> promote[AT(i,k)] = 0; fence[AT(i,k)] = 0 :: else fi }; k = 0;
#endif
      i = 0; e = 0; CHECK }
#ifdef MUT_NOPERSIST                   /* R7: a restart forgets */
 :: atomic { select(i : 0 .. N-1); maxep[i] = 0; role[i] = 0; i = 0 }
#endif
 :: atomic { select(i : 0 .. N-1);                              /* the data plane applies the next change */
      if :: lag[i] -> lag[i]-- :: else fi;
#ifdef FOREIGN
      if :: !lag[i] -> behind[i] = 0 :: else fi;
#endif
      i = 0; CHECK }
 :: atomic { select(i : 0 .. 1);                                /* a PUT lands */
      if :: fl_used[i] && (cp[fl_to[i]] == fl_down[i] || lag[fl_to[i]] < LAG) ->
#ifdef MUT_NOBUMP                      /* R4: a write that changes nothing keeps the etag */
           if :: cp[fl_to[i]] == fl_down[i] ->
                 if :: fl_by[i] < R -> own[fl_by[i]*N+fl_to[i]] = (fl_down[i] -> WROTE_DOWN : WROTE_NONE) :: else fi;
                 drop(i)
              :: else -> lands_in(i)
           fi
#else
           lands_in(i)
#endif
         :: else fi;
#ifdef REACH_SHARED
      if :: ELIGIBLE(0) && ELIGIBLE(1) -> was = 1 :: else fi;
#endif
#ifdef REACH_RETURN
      if :: ELIGIBLE(1) && WILL(0) && DOWN(0) -> was = 1 :: else fi;
#endif
      i = 0; CHECK }
 od }

#ifdef FOREIGN
active proctype Owner() { byte i, k;   /* writes the load balancer as it has it: without adminState, and without If-Match */
#define ROOM(i) (lag[i] < LAG)
 end: do
 :: atomic { foreign && ALL(ROOM) -> foreign--;
      for (i : 0 .. N-1) { if :: cp[i] -> cp[i] = 0; lag[i]++; undone[i] = LATELY; behind[i] = 1 :: else fi }; i = 0;
      drop(0); drop(1);
      for (k : 0 .. R-1) { etag[k] = 0 }; k = 0; CHECK }
 od }
#endif
#ifdef RESTORED
active proctype Backup() { byte i, e;
 end: do
 :: atomic { restores -> select(i : 0 .. N-1); select(e : 0 .. E-1);
      if :: e < maxep[i] -> restores = 0; maxep[i] = e; role[i] = 1;
              if :: !may[i] || ack[i] -> risen[i] = LATELY :: else fi
         :: else fi; i = 0; e = 0; CHECK }
 od }
#endif

inline put(j,down) {
   if :: !fl_used[0] -> fl_used[0] = 1; fl_to[0] = j; fl_down[0] = down; fl_by[0] = me
      :: fl_used[0] && !fl_used[1] -> fl_used[1] = 1; fl_to[1] = j; fl_down[1] = down; fl_by[1] = me
      :: else fi }
inline written() { for (k : 0 .. R-1) { if :: k != me -> stale[k] = 1 :: else fi }; k = 0; CHECK }
inline forget(who) {                   /* what came of writes of an earlier operation counts for nothing */
   for (j : 0 .. N-1) { own[(who)*N+j] = NOTHING }; j = 0;
   if :: fl_used[0] && fl_by[0] == who -> fl_by[0] = NOBODY :: else fi;
   if :: fl_used[1] && fl_by[1] == who -> fl_by[1] = NOBODY :: else fi }
inline open(c) {
   epoch++; target = c; granted = 0;
   for (j : 0 .. N-1) { ack[j] = 0; if :: owed[j] -> owed[j] = 2 :: else fi }; j = 0;
#ifndef MUT_OLDPROOF                   /* R4: a proof is valid only in the operation in which its write was issued */
   for (k : 0 .. R-1) { forget(k) }; k = 0;
#endif
#ifdef SEAMLESS
#ifdef MUT_SHARELEAVES                 /* 2a: the operation that ends it takes the other for one that stands by */
   if :: sharing && c == holder -> may[second] = 0 :: sharing && c == second -> may[holder] = 0 :: else fi;
#endif
   sharing = 0
#endif
}
inline excuses_end() {                 /* an operation is granted */
   for (k : 0 .. N-1) {
#ifdef FOREIGN
      if :: undone[k] == RENEWING -> undone[k] = 0 :: else fi;
#endif
#ifdef RESTORED
      if :: risen[k] == RENEWING -> risen[k] = 0 :: else fi;
#endif
      skip };
#ifdef SEAMLESS
   sharing = 0; two = 0; holder = 0; second = 0;
#endif
   k = 0 }
#define CAS (!stale[me])

proctype Instance(byte me) { byte c, j, k; bit ok;
#ifdef MUT_NOCAS
 byte ct; bit checked;
#endif
#ifdef MUT_RECHECKFIRST
 byte wants;
#endif
 end: do
 /* it stops anywhere and starts again */
 :: atomic { forget(me); stale[me] = 0; etag[me] = 0;
#ifdef MUT_RECHECKFIRST
      wants = 0;
#endif
#ifdef MUT_OLDLIFT
      for (j : 0 .. N-1) { lifted[me*N+j] = 0 }; j = 0
#endif
    }
 /* it lost a compare-and-swap and reads the record again */
 :: atomic { stale[me] -> stale[me] = 0; etag[me] = 0 }
 /* 1 OPEN any next operation, from any phase */
 :: atomic { CAS && epoch < E -> select(c : 0 .. N-1);
#ifdef MUT_FENCEACTIVEONLY
      before = target;
#endif
#ifdef MUT_RECHECKFIRST
      wants = 0;
#endif
#ifdef MUT_NEXTFORGETS                 /* 2b: a target that was granted, and is given up, is not one of those to be fenced */
      if :: c != target -> may[target] = 0 :: else fi;
#endif
      open(c); c = 0; written() }
#ifdef FOREIGN
 /* 2b A reading shows a believed fence, or a proof, without Down: believe less, and fence again for the same holder */
 :: atomic { etag[me] && CAS && granted && epoch < E -> select(j : 0 .. N-1);
      if :: CONTRADICTED(j) -> undone[j] = RENEWING;
#ifndef MUT_UNDONEKEPT                 /* 2b: fenced again, but believed to be fenced meanwhile */
              fenced[j] = 0;
#endif
#ifdef REACH_RENEWED
              if :: j == 0 -> was = 1 :: else fi;
#endif
#ifndef MUT_NORENEW                    /* 2b: not believed any more, and not fenced again */
              c = target; open(c); c = 0;
#endif
              written()
         :: else fi; j = 0 }
 :: atomic { etag[me] && CAS && !granted -> select(j : 0 .. N-1);
      if :: CONTRADICTED(j) -> undone[j] = RENEWING; fenced[j] = 0; written()
         :: PROOF_GONE(j) -> MY(j) = NOTHING
         :: else fi; j = 0 }
 /* 2b A look finds nothing of that kind, and the data plane is as it was read: nothing excuses any longer */
 :: atomic { etag[me] && CAS -> ok = 1;
      for (j : 0 .. N-1) { if :: CONTRADICTED(j) || PROOF_GONE(j) -> ok = 0 :: else fi };
      for (j : 0 .. N-1) { if :: ok && undone[j] == LATELY && !lag[j] -> undone[j] = 0 :: else fi }; j = 0; ok = 0; CHECK }
#endif
#ifdef RESTORED
 /* 2b A member that was granted nothing is admitted: it may serve, and is fenced for the same holder */
 :: atomic { CAS && granted && epoch < E -> select(j : 0 .. N-1);
      if :: ADMITTED(j) -> risen[j] = RENEWING;
#ifndef MUT_ADMITTEDUNFENCED           /* 2b: an operation is opened for it, in which it needs no proof */
              may[j] = 1;
#endif
#ifdef REACH_RISEN
              if :: j == 0 -> was = 1 :: else fi;
#endif
              c = target; open(c); c = 0; written()
         :: else fi; j = 0 }
 :: atomic { CAS && granted -> ok = 1;
      for (j : 0 .. N-1) { if :: ADMITTED(j) -> ok = 0 :: else fi };
      for (j : 0 .. N-1) { if :: ok && ELIGIBLE(j) && !fenced[j] -> risen[j] = 0 :: else fi }; j = 0; ok = 0; CHECK }
#endif
#ifdef SEAMLESS
 /* 2a SHARE in place of 2: both are in may_serve, then both are promoted; only another operation ends it */
 :: atomic { CAS && MAY_SHARE && epoch < E -> select(c : 0 .. N-1);
      if :: c != target && may[target] ->
              if :: !sharing -> j = target :: else -> j = holder fi; second = j;
              open(c); holder = second; second = c; sharing = 1; two = 1;
#ifndef MUT_SHARENOWAL                 /* R1 in 2a: the target is promoted before may_serve has it */
              may[c] = 1;
#endif
              c = 0; written()
         :: else fi; c = 0 }
 :: atomic { CAS && sharing && !DEAD(holder,epoch) -> promote[AT(holder,epoch)] = 1 }
 :: atomic { CAS && sharing && !DEAD(target,epoch) -> promote[AT(target,epoch)] = 1 }
#endif
 /* 2 FENCE by the agent. Where two serve on purpose, this and 3 are what an app does that does not know `sharing` */
 :: atomic { CAS && !granted -> select(j : 0 .. N-1);
      if :: j != target && may[j] && !DEAD(j,epoch) -> fence[AT(j,epoch)] = 1 :: else fi; j = 0 }
 /* 2 FENCE by the load balancer: owed first; GET; the record again, and PUT Down; GET and health */
 :: atomic { CAS && !granted -> select(j : 0 .. N-1);
      if :: j != target && NEEDS(j) && !owed[j] -> owed[j] = 1; written() :: else fi; j = 0 }
#ifdef MUT_RECHECKFIRST                /* R5: the record is read again before the GET, not between GET and PUT */
 :: atomic { CAS && granted && !wants -> select(j : 0 .. N-1);
      if :: owed[j] && DISBELIEVED(j) && LIFTABLE(j) -> wants = j+1 :: else fi; j = 0 }
 :: atomic { wants && etag[me] -> j = wants-1; if :: FENCE_ARRIVED(j) -> put(j,0) :: else fi; wants = 0; j = 0 }
#endif
 :: atomic { !etag[me] -> etag[me] = 1 }
 :: atomic { etag[me] && CAS && !granted -> select(j : 0 .. N-1);
      if :: j != target && NEEDS(j) && OWED_FIRST(j) && LIFT_ARRIVED(j) -> put(j,1) :: else fi; j = 0 }
 :: atomic { !granted -> select(j : 0 .. N-1);
      if :: OWN_DOWN(j) && SHOWS_DOWN(j) -> MY(j) = PROVEN :: else fi; j = 0 }
 /* 3 GRANT: every other is proven; the proofs are noted and the target enters may_serve */
#ifdef MUT_NOCAS                       /* R5: decided on one reading of the record, written over another */
 :: atomic { CAS && !granted && epoch > 0 && !checked -> ok = 1;
      for (j : 0 .. N-1) { if :: j != target && NEEDS(j) && !ack[j] && MY(j) != PROVEN -> ok = 0 :: else fi }; j = 0;
      if :: ok -> checked = 1; ct = target :: else fi; ok = 0 }
 :: atomic { checked -> may[ct] = 1; target = ct; granted = 1; checked = 0; ct = 0; stale[me] = 0; written() }
#endif
 :: atomic { CAS && !granted -> ok = 1;
      for (j : 0 .. N-1) { if :: j != target && NEEDS(j) && !ack[j] && MY(j) != PROVEN -> ok = 0 :: else fi }; j = 0;
      if :: ok ->
#ifdef MUT_NOWAL                       /* R1: PROMOTE is sent before may_serve is durable */
           promote[AT(target,epoch)] = 1
#else
           for (j : 0 .. N-1) {
              if :: j != target && may[j] && ack[j] -> may[j] = 0
                 :: j != target && may[j] && !ack[j] && MY(j) == PROVEN -> fenced[j] = 1
                 :: else fi };
           j = 0; may[target] = 1; granted = 1; excuses_end(); written()
#endif
         :: else fi; ok = 0 }
 /* 4 LIFT the target, 7 or one that has acknowledged: believe less, see Down arrived, PUT None, see that it let go */
 :: atomic { CAS && (granted || IS_SHARED) -> select(j : 0 .. N-1);
      if :: fenced[j] && MAY_LIFT(j) -> fenced[j] = 0; written() :: else fi; j = 0 }
 :: atomic { etag[me] && CAS && (granted || IS_SHARED) -> select(j : 0 .. N-1);
      if :: owed[j] && DISBELIEVED(j) && MAY_LIFT(j) && FENCE_ARRIVED(j) -> put(j,0) :: else fi; j = 0 }
#ifdef MUT_OLDLIFT
 :: atomic { select(j : 0 .. N-1); if :: OWN_NONE(j) && LET_GO(j) -> lifted[me*N+j] = 1 :: else fi; j = 0 }
 :: atomic { CAS && granted -> select(j : 0 .. N-1);
      if :: owed[j] && !fenced[j] && LIFTABLE(j) && lifted[me*N+j] -> owed[j] = 0; written() :: else fi; j = 0 }
#endif
 :: atomic { CAS && (granted || IS_SHARED) -> select(j : 0 .. N-1);
      if :: owed[j] && !fenced[j] && MAY_LIFT(j) && OWN_NONE(j) && LET_GO(j) -> owed[j] = 0; MY(j) = NOTHING; written()
         :: else fi; j = 0 }
 /* 5 PROMOTE, again and again */
 :: atomic { CAS && granted && epoch > 0 && may[target] && !DEAD(target,epoch) -> promote[AT(target,epoch)] = 1 }
 /* 7 REJOIN: who has acknowledged leaves may_serve */
 :: atomic { CAS && granted -> select(j : 0 .. N-1);
      if :: j != target && may[j] && ack[j] -> may[j] = 0; written() :: else fi; j = 0 }
 od }

init { byte i; atomic {                /* at rest: member 0 holds, at an epoch before the first */
   role[0] = 1; may[0] = 1;
   for (i : 0 .. R-1) { run Instance(i) }; i = 0 } }
