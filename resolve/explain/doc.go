// Package explain answers what would become of a packet: of one that has not been
// sent, and of recorded drops after a change of the rules.
//
// What the question does not say is assumed, and an assumption that a rule looked
// at is told with the answer. Nothing is changed: a change that is asked about is
// made on a copy, in a namespace of our own or on the model alone.
package explain
