/* A server that embeds Python: server HOME SCRIPT. Nothing in its name says so. */
#include <Python.h>

int main(int argc, char **argv)
{
    PyConfig config;
    PyConfig_InitPythonConfig(&config);
    config.parse_argv = 0;
    PyConfig_SetBytesString(&config, &config.home, argv[1]);
    PyConfig_SetBytesString(&config, &config.program_name, argv[0]);
    PyStatus status = Py_InitializeFromConfig(&config);
    if (PyStatus_Exception(status))
        Py_ExitStatusException(status);
    FILE *script = fopen(argv[2], "r");
    return script ? PyRun_SimpleFile(script, argv[2]) : 1;
}
