# bash completion for orthrusctl
_orthrusctl()
{
    local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    local first="" second="" skip="" i
    for ((i = 1; i < COMP_CWORD; i++)); do
        if [ -n "$skip" ]; then
            skip=""
            continue
        fi
        case ${COMP_WORDS[i]} in
        --server | --token-file | --ca-file | --agent | --host | --port) skip=1 ;;
        -*) ;;
        *) if [ -z "$first" ]; then
            first=${COMP_WORDS[i]}
        elif [ -z "$second" ]; then
            second=${COMP_WORDS[i]}
        fi ;;
        esac
    done
    case $previous in
    --token-file | --ca-file)
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
        return
        ;;
    esac
    local names
    names() { orthrusctl --json "$1" ls 2>/dev/null |
        sed -n 's/^ *"name": "\([A-Za-z0-9._-]*\)",\{0,1\}$/\1/p'; }
    if [[ $word == -* ]]; then
        names="--server --token-file --ca-file --json --help --version"
        [ "$first $second" = "server add" ] && names="$names --agent --host --port"
    elif [ -z "$first" ]; then
        names="agent server ps env docker status"
    else
        case "$first $second" in
        "agent ") names="add ls show rename revoke rotate rm" ;;
        "server ") names="add ls rm" ;;
        "ps " | "env " | "docker " | "agent show" | "agent rename" | \
            "agent revoke" | "agent rotate" | "agent rm")
            names=$(names agent)
            ;;
        "server rm") names=$(names server) ;;
        *)
            [ "$previous" = --agent ] && names=$(names agent)
            ;;
        esac
    fi
    mapfile -t COMPREPLY < <(compgen -W "$names" -- "$word")
}
complete -F _orthrusctl orthrusctl
