package output

// appendFix writes a command to copy: where it is broken, the shell joins it again.
// One that the terminal would show changed is not shown.
func (s Style) appendFix(dst []byte, command string) []byte {
	if command == "" {
		return dst
	}
	text := Escape(command, s.ASCII)
	if text != command {
		return s.appendLine(dst, line{label: "fix", labelColor: green, indent: bodyIndent,
			text: "not shown: a name in it is not ASCII, as the locale wants it"})
	}
	return s.appendLine(dst, line{label: "fix", labelColor: green, text: shellWords(text), indent: bodyIndent, carry: ` \`})
}
