// Package attempts slows the guessing of passwords down.
//
// Wrong passwords are counted per address of the caller and per user. Who calls from an address
// without failures waits for nothing, whatever strangers do to the same user elsewhere. From an
// address with failures an attempt waits before it is looked at, right or wrong, for the larger of
// both counts: nothing for the first three, then 1 s, 2 s, 4 s, 8 s and no more. A user who has
// once logged in from an address is counted there apart from its other users, so that one who
// shares the address with a guesser goes on. A count is forgotten a quarter of an hour after its
// last failure. Where the address cannot be told (Hops), the user alone is counted.
//
// Attempts that are still looked at count as failures of their user at their address, so that
// asking in parallel gains nothing. How many wait is bounded; the others are a *BusyError at once.
// What is remembered is bounded too: what has not been seen for longest is forgotten.
package attempts
