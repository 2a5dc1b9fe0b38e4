package console

import (
	"os"
	"os/exec"
)

// FindProgram looks where sudo's PATH may not lead, too.
func FindProgram(name string) (string, bool) {
	if path, err := exec.LookPath(name); err == nil {
		return path, true
	}
	for _, dir := range []string{"/usr/sbin/", "/sbin/"} {
		if _, err := os.Stat(dir + name); err == nil {
			return dir + name, true
		}
	}
	return "", false
}
