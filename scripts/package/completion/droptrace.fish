# Completion of droptrace's command line for fish. It knows no flag: droptrace does.

function __droptrace_complete
    command -q droptrace; or return
    set -l words (commandline -opc)
    set -e words[1]
    set -l current (commandline -ct)
    for answer in (command droptrace __complete $words "$current" 2>/dev/null)
        if test "$answer" = ':files'
            set -l flag (string match -r -- '^--[^=]*=' "$current")
            for path in (__fish_complete_path (string replace -- "$flag" '' "$current"))
                echo "$flag$path" # quoted: without a flag, too
            end
        else
            echo $answer
        end
    end
end

complete -c droptrace -f -a '(__droptrace_complete)'
