/* SPDX-License-Identifier: Apache-2.0 */
/* An alert: a message comes, its effect is committed, a target is told, and that it was told is committed. Each commit
 * is durable. See README.md. */

#ifndef ALERTS
#define ALERTS 2
#endif
#ifndef FAULTS
#define FAULTS 3 /* deaths, lost requests and answers, leases that lapse, together */
#endif

mtype = { none, waits, leased, gone }; /* of a message at Pub/Sub */
mtype = { away, arrived };             /* of a request to the target */

/* Pub/Sub */
mtype message[ALERTS];
/* the daemon's memory */
bool held[ALERTS], committed[ALERTS];
mtype request[ALERTS];
/* its store */
bool judged[ALERTS], due[ALERTS], told[ALERTS];
byte sealed[ALERTS]; /* the key that goes with it; 0: it was never sent */
/* the target */
byte got[ALERTS], known[ALERTS];
/* how often it may have been told once more: it had arrived, and we did not hear of it */
byte excused[ALERTS];

byte faults = FAULTS, keys; /* that are still to come; that were drawn */

#define STEP(guard) atomic { guard ->
#define DONE s = 0 }

inline acknowledge(a) {
        if
        :: message[a] == leased -> message[a] = gone
        :: message[a] == waits -> message[a] = gone
        :: message[a] == waits
        :: message[a] == gone
        fi;
        held[a] = false;
        committed[a] = false
}

inline arrive(a) {
        if
#ifdef KEYED
        :: known[a] == sealed[a]
        :: known[a] != sealed[a] -> known[a] = sealed[a]; got[a]++
#else
        :: true -> got[a]++
#endif
        fi
}

proctype alert(byte a) {
        byte s;

end_:   do
        :: STEP(message[a] == waits) message[a] = leased; held[a] = true; committed[a] = false; DONE
        :: STEP(message[a] == waits && faults > 0) faults--; message[a] = leased; DONE
        :: STEP(message[a] == leased && held[a] && faults > 0) faults--; message[a] = waits; DONE
        :: STEP(message[a] == leased && !held[a]) message[a] = waits; DONE

        /* the effect, once, however often the message comes */
#ifdef ACK_BEFORE_COMMIT
        :: STEP(held[a] && !committed[a]) acknowledge(a); DONE
#endif
        :: STEP(held[a] && !committed[a])
#ifdef EFFECT_OF_EACH_DELIVERY
                due[a] = true; told[a] = false; sealed[a] = 0;
#else
                due[a] = due[a] || !judged[a];
#endif
                judged[a] = true; committed[a] = true; DONE
        :: STEP(held[a] && committed[a]) acknowledge(a); DONE
        :: STEP(held[a] && committed[a] && faults > 0) faults--; held[a] = false; committed[a] = false; DONE

        /* its key is committed before it is sent, and stays */
        :: STEP(due[a] && !told[a] && request[a] == none)
#ifdef KEY_OF_EACH_REQUEST
                keys++; sealed[a] = keys;
#else
                if
                :: sealed[a] == 0 -> keys++; sealed[a] = keys
                :: else
                fi;
#endif
#ifdef RECORD_BEFORE_SEND
                told[a] = true;
#endif
                request[a] = away; DONE
        :: STEP(request[a] == away) arrive(a); request[a] = arrived; DONE
        :: STEP(request[a] == away && faults > 0) faults--; request[a] = none; DONE
        :: STEP(request[a] == arrived && faults > 0) faults--; excused[a]++; request[a] = none; DONE
        :: STEP(request[a] == arrived) told[a] = true; request[a] = none; DONE
        od
}

/* A request under way may still arrive. */
proctype deaths() {
        byte s;

end_:   do
        :: STEP(faults > 0) faults--;
                for (s : 0 .. ALERTS - 1) {
                        if
                        :: request[s] == away -> arrive(s); excused[s]++
                        :: request[s] == arrived -> excused[s]++
                        :: request[s] == away
                        :: else
                        fi;
                        request[s] = none;
                        held[s] = false;
                        committed[s] = false
                }
                DONE
        od
}

init {
        byte s;

        atomic {
                for (s : 0 .. ALERTS - 1) { message[s] = waits; request[s] = none; run alert(s) }
                s = 0;
                run deaths()
        }
}

active proctype last() {
        byte e;

        timeout ->
        d_step {
                for (e : 0 .. ALERTS - 1) {
                        assert(message[e] == gone && got[e] >= 1);
#ifdef KEYED
                        assert(got[e] == 1);
#endif
                        assert(got[e] <= 1 + excused[e])
                }
        }
}
