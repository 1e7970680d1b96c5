/* SPDX-License-Identifier: Apache-2.0 */
/* The way of a reading: a peer that waits for our word, the outbox, Pub/Sub, a sink. Every step may be followed by a
 * death; see README.md. Variants that break a promise are compiled in with -D; the check must find each. */

#ifndef READINGS
#define READINGS 2
#endif
#ifndef FAULTS
#define FAULTS 2 /* deaths, power cuts, lost requests and answers, leases that lapse, crashes of the sink, together */
#endif

#define MESSAGES (READINGS * (FAULTS + 1)) /* one death may leave a request of each reading on its way */
#define NOBODY 255

mtype = { none, waits, leased, gone };  /* of a message at Pub/Sub */
mtype = { fresh, journaled };           /* of a document */
mtype = { away, arrived };    /* of a publish request */

/* the peer: it has the reading until it gets our word */
bool peer_has[READINGS];
/* the daemon's memory */
bool taken[READINGS], stored[READINGS];
mtype request[READINGS];
bool held[MESSAGES], settled[MESSAGES];
/* its disk: as calls see it, and as a power cut finds it */
bool row[READINGS], row_kept[READINGS], seen[READINGS], seen_kept[READINGS];
byte row_key[READINGS], drawn; /* at the put; how many were drawn */
/* Pub/Sub */
mtype message[MESSAGES];
byte reading[MESSAGES], key[MESSAGES], messages;
/* the sink: the key of a message is the name of a document */
mtype document[MESSAGES];
byte document_of[MESSAGES];

byte faults = FAULTS; /* that are still to come */

inline sync() {
        for (s : 0 .. READINGS - 1) {
                row_kept[s] = row[s];
                seen_kept[s] = seen[s]
        }
}

/* The daemon's memory goes; a request under way may still arrive. */
inline forget_all() {
        for (s : 0 .. READINGS - 1) {
                taken[s] = false;
                stored[s] = false;
                if
                :: request[s] == away -> request[s] = none
                :: request[s] == away -> publish(s); request[s] = none
                :: else -> request[s] = none
                fi
        }
        for (s : 0 .. MESSAGES - 1) {
                held[s] = false;
                settled[s] = false
        }
}

inline publish(r) {
        assert(messages < MESSAGES);
        message[messages] = waits;
        reading[messages] = r;
#ifdef KEY_AT_PUBLISH
        key[messages] = messages;
#else
        key[messages] = row_key[r];
#endif
        messages++
}

inline is_in_sink(r, answer) {
        answer = false;
        for (s : 0 .. MESSAGES - 1) {
                if
                :: document[s] == journaled && document_of[s] == r -> answer = true
                :: else
                fi
        }
}

inline is_in_queue(r, answer) {
        answer = false;
        for (s : 0 .. MESSAGES - 1) {
                if
                :: s < messages && reading[s] == r -> answer = true
                :: else
                fi
        }
}

/* No second document of a reading. */
inline store(m) {
        for (s : 0 .. MESSAGES - 1) {
                assert(s == key[m] || document[s] == none || document_of[s] != reading[m])
        }
        if
        :: document[key[m]] == none -> document[key[m]] = fresh; document_of[key[m]] = reading[m]
        :: else
        fi
}

inline power_cut() {
        forget_all();
        for (s : 0 .. READINGS - 1) {
                row[s] = row_kept[s];
                seen[s] = seen_kept[s]
        }
}

/* An acknowledgement after its lease has lapsed counts, or it does not. */
inline acknowledge(m) {
        is_in_sink(reading[m], there);
        assert(there);
        if
        :: message[m] == leased -> message[m] = gone
        :: message[m] == waits -> message[m] = gone
        :: message[m] == waits
        :: message[m] == gone
        fi;
        held[m] = false;
        settled[m] = false
}

/* Every step is one state: `i`, `s` and `there` are of use within it only. */
#define STEP(guard) atomic { guard ->
#define DONE s = 0; there = false }

/* ---- a reading: taken, put, said to be here; sent, forgotten ---- */
proctype way_out(byte i) {
        byte s;
        bool there;

end_:   do
        :: STEP(peer_has[i] && !taken[i]) taken[i] = true;
#ifdef WORD_BEFORE_PUT
                peer_has[i] = false;
#endif
                DONE
        :: STEP(taken[i] && !stored[i])
                if
                :: !seen[i] -> row[i] = true; assert(drawn < MESSAGES); row_key[i] = drawn; drawn++
                :: else
                fi;
#ifdef SEEN_APART
                sync();
                DONE;
                STEP(true) if
                :: taken[i] -> seen[i] = true
                :: else
                fi;
#else
                seen[i] = true;
#endif
#ifndef PUT_WITHOUT_SYNC
                sync();
#endif
                stored[i] = taken[i];
                DONE
        :: STEP(stored[i]) peer_has[i] = false; taken[i] = false; stored[i] = false; DONE
        :: STEP(stored[i] && faults > 0) faults--; taken[i] = false; stored[i] = false; DONE

        :: STEP(row[i] && request[i] == none) request[i] = away;
#ifdef FORGET_BEFORE_ID
                row[i] = false;
#endif
                DONE
        :: STEP(request[i] == away) publish(i); request[i] = arrived; DONE
        :: STEP(request[i] == away && faults > 0) faults--; request[i] = none; DONE
        :: STEP(request[i] == arrived && faults > 0) faults--; request[i] = none; DONE
        :: STEP(request[i] == arrived)
                is_in_queue(i, there);
                assert(there);
                row[i] = false;
                request[i] = none;
                DONE
        od
}

/* ---- a message: delivered, written, durable, acknowledged ---- */
proctype way_in(byte m) {
        byte s;
        bool there;

end_:   do
        :: STEP(message[m] == waits) message[m] = leased; held[m] = true; settled[m] = false; DONE
        :: STEP(message[m] == waits && faults > 0) faults--; message[m] = leased; DONE
        :: STEP(message[m] == leased && held[m] && faults > 0) faults--; message[m] = waits; DONE
        :: STEP(message[m] == leased && !held[m]) message[m] = waits; DONE

        :: STEP(held[m] && !settled[m] && document[key[m]] == none) store(m); DONE
        :: STEP(document[m] == fresh) document[m] = journaled; DONE
#ifdef ACK_BEFORE_WRITE
        :: STEP(held[m] && !settled[m]) acknowledge(m); DONE
#endif
#ifdef ACK_BEFORE_JOURNAL
        :: STEP(held[m] && !settled[m] && document[key[m]] != none) settled[m] = true; DONE
#else
        :: STEP(held[m] && !settled[m] && document[key[m]] == journaled) settled[m] = true; DONE
#endif
        :: STEP(held[m] && settled[m]) acknowledge(m); DONE
        :: STEP(held[m] && settled[m] && faults > 0) faults--; held[m] = false; settled[m] = false; DONE
        od
}

proctype deaths() {
        byte s;
        bool there;

end_:   do
        :: STEP(faults > 0) faults--; forget_all(); DONE
        :: STEP(faults > 0) faults--; power_cut(); DONE
        :: STEP(faults > 0)
                faults--;
                for (s : 0 .. MESSAGES - 1) {
                        if
                        :: document[s] == fresh -> document[s] = none; document_of[s] = NOBODY
                        :: else
                        fi
                }
                DONE
        od
}

init {
        byte s;

        atomic {
                for (s : 0 .. READINGS - 1) { peer_has[s] = true; request[s] = none; run way_out(s) }
                for (s : 0 .. MESSAGES - 1) { message[s] = none; document[s] = none; document_of[s] = NOBODY; run way_in(s) }
                s = 0;
                run deaths()
        }
}

/* When nothing can happen any more, everything is where it belongs. */
active proctype last() {
        byte e, n, d;

        timeout ->
        d_step {
                for (e : 0 .. READINGS - 1) {
                        assert(!peer_has[e] && !row[e]);
                        n = 0;
                        for (d : 0 .. MESSAGES - 1) {
                                if
                                :: document[d] == journaled && document_of[d] == e -> n++
                                :: else
                                fi
                        }
                        assert(n == 1)
                }
                for (e : 0 .. MESSAGES - 1) { assert(message[e] == none || message[e] == gone) }
        }
}
