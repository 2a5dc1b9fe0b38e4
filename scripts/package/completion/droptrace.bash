# Completion of droptrace's command line for bash. It knows no flag: droptrace does.

_droptrace() {
	local IFS=$' \t\n' line=${COMP_LINE:0:COMP_POINT} breaks=${COMP_WORDBREAKS//[^=:]/} skip='' cur answer
	local -a words
	COMPREPLY=()
	# Not COMP_WORDS: there --hook=input and pid:1 are three words each.
	read -ra words <<<"$line"
	[[ $line != *[[:space:]] ]] || words+=('')
	cur=${words[-1]}
	# What is before the last of these characters bash keeps by itself.
	if [[ $breaks && $cur == *["$breaks"]* ]]; then
		skip=${cur%"${cur##*["$breaks"]}"}
	fi
	while IFS= read -r answer; do
		if [[ $answer == :files ]]; then
			compopt -o filenames
			while IFS= read -r answer; do
				COMPREPLY+=("$answer")
			done < <(compgen -f -- "${cur#"$skip"}")
		else
			answer=${answer%%$'\t'*}
			COMPREPLY+=("${answer#"$skip"}")
		fi
	done < <(command droptrace __complete "${words[@]:1}" 2>/dev/null)
}
complete -F _droptrace droptrace
