// Package resolve turns raw drop records into Drops: names, the rule and its
// text, interfaces, namespace and conntrack state.
package resolve
