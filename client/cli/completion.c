/* The shells' completion scripts. They know nothing themselves: each asks the command it completes (complete.c). */
#include "client/cli/cli.h"

/* Bash parts words at '='; what evgrid then prints stands for the last part. Names with ':' it would part too: only
 * addresses have it, and those are not offered. */
static const char *const bash_script =
	"# bash completion for evgrid: evgrid completion bash\n"
	"_evgrid() {\n"
	"    local line current=${COMP_WORDS[COMP_CWORD]}\n"
	"    COMPREPLY=()\n"
	"    while IFS= read -r line; do\n"
	"        case $line in\n"
	"        :files)\n"
	"            compopt -o filenames 2>/dev/null\n"
	"            while IFS= read -r line; do COMPREPLY+=(\"$line\"); done < <(compgen -f -- \"$current\")\n"
	"            ;;\n"
	"        :directories)\n"
	"            compopt -o filenames 2>/dev/null\n"
	"            while IFS= read -r line; do COMPREPLY+=(\"$line\"); done < <(compgen -d -- \"$current\")\n"
	"            ;;\n"
	"        *) COMPREPLY+=(\"${line%%$'\\t'*}\") ;;\n"
	"        esac\n"
	"    done < <(\"${COMP_WORDS[0]}\" __complete \"${COMP_WORDS[@]:1:COMP_CWORD}\" 2>/dev/null)\n"
	"}\n"
	"complete -F _evgrid evgrid\n";

static const char *const zsh_script =
	"#compdef evgrid\n"
	"# zsh completion for evgrid: evgrid completion zsh\n"
	"_evgrid() {\n"
	"    local line\n"
	"    local -a candidates\n"
	"    while IFS= read -r line; do\n"
	"        case $line in\n"
	"        :files) _files ;;\n"
	"        :directories) _files -/ ;;\n"
	"        *) candidates+=(\"${${line%%$'\\t'*}//:/\\\\:}:${line#*$'\\t'}\") ;;\n"
	"        esac\n"
	"    done < <(\"${words[1]}\" __complete \"${(@)words[2,CURRENT]}\" 2>/dev/null)\n"
	"    (( ${#candidates} )) && _describe evgrid candidates\n"
	"}\n"
	"if [ \"${funcstack[1]}\" = _evgrid ]; then _evgrid \"$@\"; else compdef _evgrid evgrid; fi\n";

static const char *const fish_script = "# fish completion for evgrid: evgrid completion fish\n"
				       "function __evgrid_complete\n"
				       "    set -l words (commandline -opc)\n"
				       "    set -l current (commandline -ct)\n"
				       "    for line in ($words[1] __complete $words[2..-1] \"$current\" 2>/dev/null)\n"
				       "        switch $line\n"
				       "            case :files\n"
				       "                __fish_complete_path \"$current\"\n"
				       "            case :directories\n"
				       "                __fish_complete_directories \"$current\"\n"
				       "            case '*'\n"
				       "                echo $line\n"
				       "        end\n"
				       "    end\n"
				       "end\n"
				       "complete -c evgrid -f -a '(__evgrid_complete)'\n";

int run_completion(struct cli *cli)
{
	static const struct {
		const char *shell;
		const char *const *script;
	} shells[] = {{"bash", &bash_script}, {"zsh", &zsh_script}, {"fish", &fish_script}};

	for (size_t i = 0; i < sizeof shells / sizeof *shells; i++) {
		if (strcmp(cli->positionals[0], shells[i].shell) == 0)
			return fputs(*shells[i].script, stdout) < 0 ? EXIT_FAILED : 0;
	}
	return cli_usage(cli, "bash, zsh or fish", "no completion for '%s'", cli->positionals[0]);
}
