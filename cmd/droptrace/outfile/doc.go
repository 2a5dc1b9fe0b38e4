// Package outfile opens the files that a privileged program writes by name.
//
// What a file held is kept until Empty, and Discard removes only a file that Open
// made, so that a run that fails to start leaves everything as it was.
//
// The name may lead through directories where others can put something. A
// directory is private where root, the program's user or the one who called sudo
// owns it and nobody else may write to it. In any other no symbolic link is
// followed, and a file that exists there must belong to one of the three and have
// no other name. In private ones links work, and with them /dev/stdout and
// /dev/fd/N. What lies behind /proc/PID/root or cwd is never private: root's there may
// be a container's root.
package outfile
