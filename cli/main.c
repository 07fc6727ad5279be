/* The program: a table of commands, --help and --version, and the exit code. */
#include "cli/command.h"

#include <smelt/version.h>

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static const struct cli_command *const commands[] = {
    &cli_command_compile,       &cli_command_deploy,
    &cli_command_call,          &cli_command_run,
    &cli_command_wave,          &cli_command_receipt,
    &cli_command_events,        &cli_command_account_fund,
    &cli_command_account_show,  &cli_command_account_address,
    &cli_command_state_dump,    &cli_command_state_keys,
    &cli_command_state_wave,    &cli_command_state_root,
    &cli_command_state_prove,   &cli_command_state_verify,
    &cli_command_state_prune,   &cli_command_state_backup,
    &cli_command_state_restore, &cli_command_verify_proof,
    &cli_command_abi,           &cli_command_schedule,
    &cli_command_policy,        &cli_command_doctor,
};

#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

static const char exit_codes[] =
    "exit codes:\n"
    "   0  done; a contract that was called returned; waves were written\n"
    "   1  this node could not do it: file, tool, state, balance\n"
    "   2  usage: option, argument, function name, gas schedule, policy\n"
    "   3  the module was refused\n"
    "  10  the contract reverted\n"
    "  11  the contract trapped\n"
    "  12  the contract ran out of fuel\n";

/* Commands whose name starts with `prefix` ("" for all). */
static void print_commands(FILE *stream, const char *prefix)
{
    (void)fputs("commands:\n", stream);
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        const char *name = commands[i]->syntax.name;
        if (strncmp(name, prefix, strlen(prefix)) == 0) {
            (void)fprintf(stream, "  %-17s%s\n", name, commands[i]->brief);
        }
    }
}

static void print_program_help(void)
{
    (void)printf("smelt %s: compile and run WebAssembly smart contracts\n\n"
                 "usage: smelt COMMAND [arguments] [options]\n\n",
                 smelt_version());
    print_commands(stdout, "");
    (void)printf("\n"
                 "smelt COMMAND --help lists a command's options. Every command takes --json.\n"
                 "smelt --version prints the version.\n\n%s",
                 exit_codes);
}

static void print_command_help(const struct cli_command *command)
{
    (void)printf("smelt %s: %s\n\n", command->syntax.name, command->brief);
    cli_options_print_usage(stdout, &command->syntax);
    (void)printf("\n%s%soptions:\n", command->notes != NULL ? command->notes : "",
                 command->notes != NULL ? "\n" : "");
    cli_options_print_help(stdout, &command->syntax);
    (void)printf("\n%s", exit_codes);
}

/* The command that argv[1] (and argv[2]) name; `*words` is how many they are. */
static const struct cli_command *find_command(int argc, char **argv, int *words)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        const char *name = commands[i]->syntax.name;
        size_t first = strcspn(name, " ");
        if (strlen(argv[1]) != first || strncmp(argv[1], name, first) != 0) {
            continue;
        }
        *words = name[first] == ' ' ? 2 : 1;
        if (*words == 1 || (argc > 2 && strcmp(argv[2], name + first + 1) == 0)) {
            return commands[i];
        }
    }
    return NULL;
}

/* Is `word` the first half of two-word commands? */
static bool is_group(const char *word)
{
    size_t size = strlen(word);
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        const char *name = commands[i]->syntax.name;
        if (size != 0 && strncmp(name, word, size) == 0 && name[size] == ' ') {
            return true;
        }
    }
    return false;
}

static bool is_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

static int usage_failure(struct cli_output *out, const struct smelt_error *err, const char *command)
{
    int code = cli_fail(out, err);
    (void)fprintf(stderr, "smelt: hint: smelt%s%s --help\n", command[0] != '\0' ? " " : "",
                  command);
    return code;
}

static int print_version(struct cli_output *out)
{
    if (out->is_json) {
        out->object = json_pack("{s:s}", "version", smelt_version());
    } else {
        (void)printf("smelt %s\n", smelt_version());
    }
    return CLI_EXIT_OK;
}

/* Anything that is not a command: the program's own options, or a mistake. */
static int run_program(struct cli_output *out, int argc, char **argv)
{
    struct smelt_error err = {0};
    const char *word = NULL;
    for (int i = 1; i < argc && word == NULL; i++) {
        word = strcmp(argv[i], "--json") != 0 ? argv[i] : NULL;
    }
    if (word == NULL) {
        (void)cli_error_usage(&err, "no command is given");
        return usage_failure(out, &err, "");
    }
    if (is_help(word)) {
        out->is_json = false;
        print_program_help();
        return CLI_EXIT_OK;
    }
    if (strcmp(word, "--version") == 0) {
        return print_version(out);
    }
    if (word == argv[1] && is_group(word)) {
        if (argc > 2 && is_help(argv[2])) {
            out->is_json = false;
            print_commands(stdout, word);
            return CLI_EXIT_OK;
        }
        (void)cli_error_usage(&err, "smelt %s needs one of its commands", word);
        return usage_failure(out, &err, word);
    }
    (void)cli_error_usage(&err, "%s \"%.64s\"",
                          word[0] == '-' ? "unknown option" : "unknown command", word);
    return usage_failure(out, &err, "");
}

static int run_command(const struct cli_command *command, struct cli_output *out, int argc,
                       char **argv)
{
    struct cli_options options = {0};
    struct smelt_error err = {0};
    int code = CLI_EXIT_OK;
    if (cli_options_parse(&command->syntax, argc, argv, &options, &err) != SMELT_STATUS_OK) {
        code = usage_failure(out, &err, command->syntax.name);
    } else if (options.values[CLI_OPTION_HELP].is_given) {
        out->is_json = false;
        print_command_help(command);
    } else {
        code = command->run(&options, out);
    }
    cli_options_deinit(&options);
    return code;
}

/* A closed standard descriptor would be given to the next file that is opened, and a message could
 * then end up in a database. The stand-ins refuse what the program does with them. */
static bool keep_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 &&
            open("/dev/null", fd == STDOUT_FILENO ? O_RDONLY : O_WRONLY) != fd) {
            return false;
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    if (!keep_standard_descriptors()) {
        return CLI_EXIT_NODE;
    }
    /* writing to a closed pipe is an error to report, not a silent end */
    (void)signal(SIGPIPE, SIG_IGN);
    struct cli_output out;
    cli_output_init(&out, cli_options_want_json(argc, argv));
    int words = 0;
    const struct cli_command *command = argc > 1 ? find_command(argc, argv, &words) : NULL;
    int code = command == NULL ? run_program(&out, argc, argv)
                               : run_command(command, &out, argc - 1 - words, argv + 1 + words);
    return cli_output_finish(&out, code);
}
