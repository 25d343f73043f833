// Package memory holds programs on a developer's machine below a limit of memory, where there is no
// container to do it and no root to make one. It looks at what a process and all that came of it
// hold, and ends them when that is too much, as the kernel does in a cluster.
//
// What is looked at is what a container is charged for and cannot give back: memory of the processes'
// own, shared memory that they have mapped, and what of both lies in swap. Pages of files do not
// count. On Linux what several processes share counts once, so that nothing below its limit is
// ended. Elsewhere `ps` tells less: shared pages count for each process and pages of files count too,
// what is compressed or in swap does not.
//
// What is not seen: processes that have left both their parent and its group, as daemons do, and files
// in a tmpfs. What grows faster than it is looked at overruns the limit for a moment. Limits of the
// kernel (RLIMIT_AS, RLIMIT_DATA) are no help: they count what is reserved and never touched, which
// numpy, torch and threads do by the gigabyte. Prefer does no harm: where the machine runs out of
// memory first, the kernel ends what it is given before anything else.
package memory
