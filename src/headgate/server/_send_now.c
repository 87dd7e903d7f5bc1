/* The compiled form of headgate.server.send_now: that module says what it does. */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>
#include <sys/socket.h>

static PyObject *send_now(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    char *start;
    Py_ssize_t length, taken;
    long fd;

    (void)module;
    if (nargs != 2) {
        PyErr_Format(PyExc_TypeError, "send_now takes 2 arguments, not %zd", nargs);
        return NULL;
    }
    fd = PyLong_AsLong(args[0]);
    if ((fd == -1 && PyErr_Occurred()) || PyBytes_AsStringAndSize(args[1], &start, &length) < 0)
        return NULL;
    /* Other threads wait meanwhile: it never blocks, and giving up the interpreter costs as much as the rest. */
    taken = send((int)fd, start, (size_t)length, MSG_DONTWAIT | MSG_NOSIGNAL);
    return PyLong_FromSsize_t(taken < 0 ? 0 : taken);
}

static PyMethodDef methods[] = {
    {"send_now", (PyCFunction)(void (*)(void))send_now, METH_FASTCALL, "See headgate.server.send_now."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_send_now", NULL, 0, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__send_now(void)
{
    return PyModuleDef_Init(&module);
}
