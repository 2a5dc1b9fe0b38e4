// Package program runs the programs that know rules' texts (nft, iptables, ipset) and
// tcpdump, in a cage.
//
// # Threat model
//
// droptrace runs as root of the host and looks into network namespaces in which others
// are root. These are trusted with nothing:
//
//   - Root of a container, who writes by raw netlink what no tool takes: names of
//     tables, chains, sets and objects, comments, log prefixes, x_tables' data, an
//     interface's alias, a process's name. Line breaks, quotes and escapes are in all
//     of them.
//   - Whoever sends packets, or gives a recording or a file of rules to read.
//
// Whoever starts droptrace is trusted with what they may do themselves; also their
// --with and --rules are kept to what these are for, as they are pasted from elsewhere.
//
// What follows from it:
//
//   - Nothing of a namespace becomes part of a command line, a script or a path. Rules
//     are copied from kernel to kernel (resolve/scratch); a name goes into a command of
//     nft only where nft's scanner takes it for one string; a fix that would need more
//     is left out.
//   - What programs print is data: lines are counted against the rules that the kernel
//     has, and escaped before a terminal sees them.
//   - A command of --with is accepted by a grammar (resolve/scratch.Check): one change,
//     no option that names a file or starts a program.
//   - No file beneath the root of another process is opened. Where that is wanted it
//     takes openat2 with RESOLVE_IN_ROOT and RESOLVE_NO_MAGICLINKS, regular files only,
//     and a bound.
//   - The parsers in between may fall: nft and iptables read what is hostile. So they
//     run caged.
//
// # The cage
//
// A program runs as nobody (65534) in root's group, which /proc/net/ip_tables_names
// wants, with no other group; in a namespace with CAP_NET_ADMIN and CAP_NET_RAW alone,
// else with none; with no_new_privs; in a session of its own, without a descriptor but
// its pipes and /dev/null; with no environment but a PATH and the C locale; from a
// fixed list of directories. It writes no file (RLIMIT_FSIZE is 0), starts no process,
// connects to no service of the machine (seccomp refuses AF_UNIX sockets), and is
// bounded in memory, descriptors, processor time and time. Landlock, where the
// kernel has it, leaves it the system's programs and libraries, /proc, and the files in
// /etc that name protocols, marks and hosts. It ends with droptrace, whatever ends that.
//
// What it could still do, taken over: change the firewall of the namespace that it
// lists, which in a container's is what the container's root may do anyway. In the
// host's own namespace it reads what root of the host wrote.
//
// Less is done, and [Missing] says so, without CAP_SETUID, CAP_SETGID and CAP_KILL, in
// a user namespace that has no nobody, and without Landlock or seccomp. A program that only root
// may read runs as root's user, with the same capabilities.
//
// # How
//
// no_new_privs, capabilities, Landlock and a network namespace belong to threads in
// Linux. So a thread that is locked and thrown away puts itself into all of these and
// forks; what it has lost the child never had. The user changes between fork and exec:
// on the thread it would let another program of nobody's send it signals. The thread
// waits for the program, as its end is the parent's for PR_SET_PDEATHSIG. Limits belong
// to processes: the program is stopped by ptrace at its first instruction for them.
package program
