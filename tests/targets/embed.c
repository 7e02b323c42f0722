/* A server that embeds Python: server HOME SCRIPT [before|after]. Nothing in its name says so.
   "before": says READY and waits for its standard input to close before Python is initialised;
   "after": the same once Python has been finalised. */
#include <Python.h>
#include <string.h>
#include <unistd.h>

static void wait_here(void)
{
    char byte;
    printf("READY %d\n", getpid());
    fflush(stdout);
    while (read(0, &byte, 1) > 0)
        ;
}

int main(int argc, char **argv)
{
    const char *phase = argc > 3 ? argv[3] : "";
    PyConfig config;
    PyConfig_InitPythonConfig(&config);
    config.parse_argv = 0;
    PyConfig_SetBytesString(&config, &config.home, argv[1]);
    PyConfig_SetBytesString(&config, &config.program_name, argv[0]);
    if (!strcmp(phase, "before"))
        wait_here();
    PyStatus status = Py_InitializeFromConfig(&config);
    if (PyStatus_Exception(status))
        Py_ExitStatusException(status);
    if (!strcmp(phase, "after")) {
        PyRun_SimpleString("import asyncio");
        Py_FinalizeEx();
        wait_here();
        return 0;
    }
    FILE *script = fopen(argv[2], "r");
    return script ? PyRun_SimpleFile(script, argv[2]) : 1;
}
