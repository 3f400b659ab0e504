/*
 * /opt/bootstrap/bin/bootstrap: starts our Python in any image, whatever the image's environment says.
 *
 * Static, because LD_PRELOAD and its kin act before any dynamic program's first instruction: an image that preloads its
 * own allocator would load a library of its glibc into ours, and neither would survive. Such variables are hidden under
 * another name for as long as our Python needs to start; entry.py gives them back, so that the command has them.
 * What starts with PYTHON needs no hiding: -I ignores it. LC_ALL=C keeps Python from setting LC_CTYPE for the command
 * (PEP 538), and our libc from reading locales that were made for another; text is UTF-8 all the same (-X utf8).
 *
 * A job's signals are held from here on, until there is somebody to catch them: process 1 would never get them.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HIDDEN "BOOTSTRAP_HIDDEN_" /* known to entry.py */

static const char *const hide[] = {"LD_", "GLIBC_TUNABLES=", "GCONV_PATH=", "LOCPATH=", "MALLOC_", "LC_ALL=", NULL};

extern char **environ;

static char *hidden(const char *variable)
{
    for (const char *const *prefix = hide; *prefix; prefix++) {
        if (strncmp(variable, *prefix, strlen(*prefix)) == 0) {
            char *renamed = malloc(sizeof HIDDEN + strlen(variable));
            if (renamed)
                strcat(strcpy(renamed, HIDDEN), variable);
            return renamed;
        }
    }
    return (char *)variable;
}

int main(int argc, char **argv)
{
    static char *const ours[] = {PREFIX "/bin/python3", "-I", "-S", "-X", "utf8", PREFIX "/lib/entry.py"};
    enum { OURS = sizeof ours / sizeof *ours };
    if (argc > 1 && strcmp(argv[1], "run") == 0) {
        sigset_t all;
        sigfillset(&all);
        sigprocmask(SIG_BLOCK, &all, NULL);
    }
    size_t variables = 0;
    while (environ[variables])
        variables++;

    char **arguments = calloc(OURS + argc + 1, sizeof *arguments);
    char **environment = calloc(variables + 3, sizeof *environment);
    if (!arguments || !environment)
        goto failed;
    memcpy(arguments, ours, sizeof ours);
    if (argc > 1)
        memcpy(arguments + OURS, argv + 1, (argc - 1) * sizeof *arguments);

    size_t kept = 0;
    for (size_t i = 0; i < variables; i++) {
        if (strncmp(environ[i], "BOOTSTRAP_PREFIX=", strlen("BOOTSTRAP_PREFIX=")) == 0)
            continue;
        if (!(environment[kept++] = hidden(environ[i])))
            goto failed;
    }
    environment[kept++] = "LC_ALL=C";
    environment[kept] = "BOOTSTRAP_PREFIX=" PREFIX; /* what of us the command must not see: process/environment.py */

    execve(arguments[0], arguments, environment);
failed:
    perror("bootstrap: " PREFIX "/bin/python3");
    return 127;
}
