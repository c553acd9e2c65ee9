/* Python with its modules in memory: the program that the launcher (launcher.c) starts.

   The module `_image` gives importer.py the pieces of the binary. The modules that Python needs before importer.py can
   run are in the piece "first": a count, then as many rows, then their code. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <limits.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "image.h"

struct row {
    char name[48];
    uint32_t offset, size; /* of its code, from the first byte of the piece */
    uint32_t is_package, unused;
};

static const struct image *image;

static const struct piece *found(const char *name) {
    for (uint64_t number = 0; number < image->count; number++)
        if (!strcmp(image->pieces[number].name, name))
            return &image->pieces[number];
    return NULL;
}

static PyObject *piece(PyObject *self, PyObject *name) {
    const char *text = PyUnicode_AsUTF8(name);
    if (!text)
        return NULL;
    const struct piece *one = found(text);
    if (!one)
        return PyErr_Format(PyExc_LookupError, "the binary has no piece %s", text);
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)one->size);
    if (bytes)
        image->unpack(one, (unsigned char *)PyBytes_AS_STRING(bytes));
    return bytes;
}

static PyObject *names(PyObject *self, PyObject *nothing) {
    PyObject *list = PyList_New((Py_ssize_t)image->count);
    for (uint64_t number = 0; list && number < image->count; number++) {
        PyObject *name = PyUnicode_FromString(image->pieces[number].name);
        if (!name)
            Py_CLEAR(list);
        else
            PyList_SET_ITEM(list, (Py_ssize_t)number, name);
    }
    return list;
}

static PyMethodDef methods[] = {
    {"piece", piece, METH_O, "Return the bytes of the piece of that name."},
    {"names", names, METH_NOARGS, "Return the names of all pieces."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_image", "The pieces of this binary.", -1, methods,
                                        NULL, NULL, NULL, NULL};

static PyObject *module(void) { return PyModule_Create(&definition); }

static struct _frozen *first_modules(void) {
    const struct piece *one = found("first");
    unsigned char *bytes = one ? malloc(one->size) : NULL;
    if (!bytes)
        return NULL;
    image->unpack(one, bytes);
    uint64_t count = *(uint64_t *)bytes;
    struct row *rows = (struct row *)(bytes + sizeof count);
    struct _frozen *table = calloc(count + 1, sizeof *table);
    for (uint64_t number = 0; table && number < count; number++)
        table[number] = (struct _frozen){rows[number].name, bytes + rows[number].offset, (int)rows[number].size,
                                         (int)rows[number].is_package, NULL};
    return table;
}

/* The path of this file: the kernel's word, else, without /proc, the path by which it was started. */
static char *own_path(char *place) {
    ssize_t size = readlink("/proc/self/exe", place, PATH_MAX - 1);
    if (size > 0) {
        place[size] = 0;
        return place;
    }
    const char *started = (const char *)getauxval(AT_EXECFN);
    if (started && realpath(started, place))
        return place;
    place[0] = 0;
    return place;
}

static PyStatus begin(int argc, char **argv) {
    PyPreConfig before;
    PyPreConfig_InitIsolatedConfig(&before);
    before.utf8_mode = 1; /* names and files are UTF-8, whatever the locale says */
    PyStatus status = Py_PreInitialize(&before);
    if (PyStatus_Exception(status))
        return status;
    PyConfig config;
    PyConfig_InitIsolatedConfig(&config);
    config.install_signal_handlers = 1;
    config.pathconfig_warnings = 0;
    config.site_import = 0;
    config.write_bytecode = 0;
    config.parse_argv = 0;
    config.use_frozen_modules = 1;
    config.module_search_paths_set = 1;
    char place[PATH_MAX];
    PyConfig_SetBytesString(&config, &config.executable, own_path(place));
    PyConfig_SetBytesString(&config, &config.base_executable, place);
    PyConfig_SetString(&config, &config.prefix, L"");
    PyConfig_SetString(&config, &config.exec_prefix, L"");
    PyConfig_SetString(&config, &config.base_prefix, L"");
    PyConfig_SetString(&config, &config.base_exec_prefix, L"");
    PyConfig_SetString(&config, &config.stdlib_dir, L"");
    status = PyConfig_SetBytesArgv(&config, argc, argv);
    if (!PyStatus_Exception(status))
        status = Py_InitializeFromConfig(&config);
    PyConfig_Clear(&config);
    return status;
}

/* Keep large blocks out of the heap, so that they go back to the kernel when they are freed. Otherwise glibc takes later
   ones from the heap, and a small machine lacks the holes that they leave: 8 MB in an installation. Reads of 1 MiB stay
   in the heap, because they come one after the other. */
#define LARGE_BYTES (5 << 18)

int main(int argc, char **argv) {
    mallopt(M_MMAP_THRESHOLD, LARGE_BYTES);
    mallopt(M_TRIM_THRESHOLD, 2 * LARGE_BYTES);
    image = (const struct image *)getauxval(AT_IMAGE);
    if (!image) {
        fputs("program: is a part of cosmos, which starts it\n", stderr);
        return 2;
    }
    PyImport_FrozenModules = first_modules();
    if (!PyImport_FrozenModules || PyImport_AppendInittab("_image", module)) {
        fputs("cosmos: error: there is too little memory to start\n", stderr);
        return 5;
    }
    PyStatus status = begin(argc, argv);
    if (PyStatus_Exception(status))
        Py_ExitStatusException(status);
    int failed = PyImport_ImportFrozenModule("importer") != 1;
    if (failed)
        PyErr_Print(); /* ends the process with the code of a SystemExit */
    return Py_FinalizeEx() ? 120 : failed;
}
