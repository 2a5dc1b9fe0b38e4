package ruleset

// PlainName reports whether nft's scanner takes the name for one string and
// nothing else. Names come from whoever may write the ruleset, nft joins its
// arguments to one command, and "x; flush ruleset" is a name the kernel takes.
// nft has no quoting for the names of tables, chains and sets.
func PlainName(name string) bool {
	for i := range len(name) {
		switch b := name[i]; {
		case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', b == '_':
		case i > 0 && ('0' <= b && b <= '9' || b == '-' || b == '.' || b == '/'):
		default:
			return false
		}
	}
	return name != ""
}
