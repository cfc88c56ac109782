"""What ``runner -sc install=SHELL`` prints, for the shell to evaluate."""

BASH_INSTALL = r"""
_runner_completion() {
    local candidate
    COMPREPLY=()
    while IFS= read -r candidate; do
        COMPREPLY+=("$candidate")
    done < <(COMP_LINE="${COMP_LINE:0:COMP_POINT}" COMP_WORDBREAKS="$COMP_WORDBREAKS" "$1" -sc query=bash 2>/dev/null)
}
complete -o nospace -o default -F _runner_completion runner
"""

BASH_UNINSTALL = r"""
complete -r runner
unset -f _runner_completion
"""

ZSH_INSTALL = r"""
_runner() {
    local line
    local -a whole partial
    while IFS= read -r line; do
        case $line in
            ' '*) whole+=("${line# }") ;;
            *) partial+=("$line") ;;
        esac
    done < <(COMP_LINE="${(j: :)words[1,CURRENT-1]} $QIPREFIX$PREFIX" $words[1] -sc query=zsh 2>/dev/null)
    _describe runner whole -- partial -S ''
}
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit -i }
compdef _runner runner
"""

ZSH_UNINSTALL = r"""
compdef -d runner
unfunction _runner
"""

FISH_INSTALL = r"""
function __runner_completion
    set -lx COMP_LINE (commandline -cp)
    set -l program (commandline -opc | string match -r '^(?:.*/)?runner$')[1]
    $program -sc query=fish 2>/dev/null
end
complete -c runner -f -a '(__runner_completion)'
"""

FISH_UNINSTALL = r"""
complete -e -c runner
functions -e __runner_completion
"""

SCRIPTS = {
    "install": {"bash": BASH_INSTALL, "zsh": ZSH_INSTALL, "fish": FISH_INSTALL},
    "uninstall": {"bash": BASH_UNINSTALL, "zsh": ZSH_UNINSTALL, "fish": FISH_UNINSTALL},
}
