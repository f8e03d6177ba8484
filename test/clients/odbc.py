#!/usr/bin/env python3
"""Reads the queries of test_clients.py with psqlODBC: odbc.py FILE.  What goes in and comes out is told there.

ODBC's driver manager is called as a C program would call it, so that nothing stands between the driver and what is printed.
"""
import ctypes
import os
import sys
from ctypes import byref, c_char_p, c_double, c_int64, c_short, c_size_t, c_ssize_t, c_ubyte, c_uint, c_ushort, c_void_p

lib = ctypes.CDLL("libodbc.so.2")
HENV = HDBC = HSTMT = c_void_p
lib.SQLDescribeCol.argtypes = [HSTMT, c_ushort, c_void_p, c_short, c_void_p, c_void_p, c_void_p, c_void_p, c_void_p]
lib.SQLGetData.argtypes = [HSTMT, c_ushort, c_short, c_void_p, c_ssize_t, c_void_p]
lib.SQLBindCol.argtypes = [HSTMT, c_ushort, c_short, c_void_p, c_ssize_t, c_void_p]
lib.SQLFreeStmt.argtypes = [HSTMT, c_ushort]
lib.SQLColAttribute.argtypes = [HSTMT, c_ushort, c_ushort, c_void_p, c_short, c_void_p, c_void_p]
lib.SQLSetConnectAttr.argtypes = [HDBC, c_uint, c_void_p, c_uint]
for name in ("SQLAllocHandle", "SQLSetEnvAttr", "SQLDriverConnect", "SQLExecDirect", "SQLPrepare", "SQLExecute", "SQLFetch",
             "SQLNumResultCols", "SQLFreeStmt", "SQLGetDiagRec", "SQLEndTran"):
    getattr(lib, name).restype = c_short

ENV, DBC, STMT = 1, 2, 3
NO_DATA, NULL_DATA = 100, -1
CLOSE, UNBIND, NTS = 0, 2, -3
C_CHAR, C_SBIGINT, C_DOUBLE, C_DATE, C_TIMESTAMP = 1, -25, 8, 91, 93
ATTR_ODBC_VERSION, ODBC3, ATTR_AUTOCOMMIT = 200, 3, 102
DESC_TYPE_NAME, DESC_PRECISION, DESC_SCALE = 14, 1005, 1006


class Date(ctypes.Structure):
    _fields_ = [("year", c_short), ("month", c_ushort), ("day", c_ushort)]


class Timestamp(ctypes.Structure):
    _fields_ = Date._fields_ + [("hour", c_ushort), ("minute", c_ushort), ("second", c_ushort), ("nanosecond", c_uint)]


NATIVE = {"int4": (C_SBIGINT, c_int64), "int8": (C_SBIGINT, c_int64), "numeric": (C_DOUBLE, c_double), "date": (C_DATE, Date),
          "timestamptz": (C_TIMESTAMP, Timestamp)}


def check(status, kind, handle):
    if status in (0, 1, NO_DATA):
        return status
    state, text, native = ctypes.create_string_buffer(6), ctypes.create_string_buffer(2000), ctypes.c_int()
    lib.SQLGetDiagRec(c_short(kind), handle, c_short(1), state, byref(native), text, c_short(2000), None)
    raise SystemExit("odbc.py: %s %s" % (state.value.decode(), text.value.decode("utf-8", "replace")))


def handle(kind, parent):
    new = c_void_p()
    check(lib.SQLAllocHandle(c_short(kind), parent, byref(new)), kind, parent)
    return new


def escaped(value):
    if value is None:
        return "\\N"
    return value.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


class Statement:
    def __init__(self, connection):
        self.handle = handle(STMT, connection)

    def execute(self, sql):
        check(lib.SQLExecDirect(self.handle, sql.encode(), NTS), STMT, self.handle)
        return self

    def prepare(self, sql):
        check(lib.SQLPrepare(self.handle, sql.encode(), NTS), STMT, self.handle)
        return self

    def again(self):
        check(lib.SQLExecute(self.handle), STMT, self.handle)
        return self

    def number(self, column, field):
        value = c_ssize_t()
        check(lib.SQLColAttribute(self.handle, column, field, None, 0, None, byref(value)), STMT, self.handle)
        return value.value

    def describe(self):
        """Of each column its type's name and its scale."""
        count = c_short()
        check(lib.SQLNumResultCols(self.handle, byref(count)), STMT, self.handle)
        for column in range(1, count.value + 1):
            text = ctypes.create_string_buffer(100)
            check(lib.SQLColAttribute(self.handle, column, DESC_TYPE_NAME, text, 100, None, None), STMT, self.handle)
            name, scale = text.value.decode(), None
            if name == "numeric":
                scale = self.number(column, DESC_SCALE)
                name = "numeric(%d,%d)" % (self.number(column, DESC_PRECISION), scale)
            yield name, scale

    def text(self, column):
        value, part, length = b"", ctypes.create_string_buffer(4096), c_ssize_t()
        while True:
            status = check(lib.SQLGetData(self.handle, column, C_CHAR, part, 4096, byref(length)), STMT, self.handle)
            if length.value == NULL_DATA:
                return None
            value += part.value
            if status == 0:                     # 1: there is more
                return value.decode("utf-8")

    def bind(self, column, name):
        """Where a program finds the value of a column after each fetch; None for text, which is read in pieces."""
        c_type, target = NATIVE.get(name.split("(")[0], (None, None))
        if c_type is None:
            return None
        bound = target(), c_ssize_t()
        check(lib.SQLBindCol(self.handle, column, c_type, byref(bound[0]), ctypes.sizeof(target), byref(bound[1])), STMT, self.handle)
        return bound

    def show(self, step, head=True):
        columns = list(self.describe())
        if head:
            print(step, "types", *[name for name, scale in columns], sep="\t")
        bound = [self.bind(column, name) for column, (name, scale) in enumerate(columns, 1)]
        while check(lib.SQLFetch(self.handle), STMT, self.handle) != NO_DATA:
            text = [self.text(column) for column in range(1, len(columns) + 1)]
            native = [shown if to is None else None if to[1].value == NULL_DATA else value(to[0], scale)
                      for to, shown, (name, scale) in zip(bound, text, columns)]
            print(step, "text", *map(escaped, text), sep="\t")
            print(step, "native", *map(escaped, native), sep="\t")
        for option in CLOSE, UNBIND:
            check(lib.SQLFreeStmt(self.handle, option), STMT, self.handle)


def value(target, scale):
    if isinstance(target, Timestamp):           # in the session's time zone, and ODBC does not say which that is
        return "%04d-%02d-%02d %02d:%02d:%02d.%06d" % (target.year, target.month, target.day, target.hour, target.minute,
                                                       target.second, target.nanosecond // 1000)
    if isinstance(target, Date):
        return "%04d-%02d-%02d" % (target.year, target.month, target.day)
    return "%.*f" % (scale or 0, target.value) if isinstance(target, c_double) else str(target.value)


def connect(environment, **options):
    connection = handle(DBC, environment)
    options = dict(Driver=os.environ["ODBC_DRIVER"], Servername=os.environ["PGHOST"], Port=os.environ["PGPORT"], SSLmode="disable",
                   Database=os.environ["PGDATABASE"], UID=os.environ["PGUSER"], PWD=os.environ["PGPASSWORD"], **options)
    text = "".join("%s=%s;" % option for option in options.items()).encode()
    check(lib.SQLDriverConnect(connection, None, c_char_p(text), c_short(NTS), None, c_short(0), None, c_ushort(0)), DBC, connection)
    return connection


def main():
    environment = handle(ENV, None)
    check(lib.SQLSetEnvAttr(environment, ATTR_ODBC_VERSION, c_void_p(ODBC3), 0), ENV, environment)
    # The driver's own cursors are an option of the connection; so a second one. What is set in a session is set in both.
    plain = connect(environment, UseServerSidePrepare="1")
    fetch = connect(environment, UseDeclareFetch="1", Fetch="2")
    with open(sys.argv[1], encoding="utf-8", newline="\n") as file:
        steps = [line.rstrip("\n").split("\t") for line in file]
    for name, mode, sql in steps:
        if mode == "run":
            for connection in (plain, fetch):
                Statement(connection).execute(sql)
        elif mode in ("plain", "fetch"):
            Statement(plain if mode == "plain" else fetch).execute(sql).show(name)
        elif mode in ("cursor", "hold"):
            if mode == "cursor":
                Statement(plain).execute("BEGIN")
            Statement(plain).execute("DECLARE c CURSOR %sFOR %s" % ("WITH HOLD " if mode == "hold" else "", sql))
            Statement(plain).execute("FETCH 2 FROM c").show(name)
            Statement(plain).execute("FETCH ALL FROM c").show(name, head=False)
            Statement(plain).execute("COMMIT" if mode == "cursor" else "CLOSE c")
        elif mode == "prepared":
            statement = Statement(plain).prepare(sql)
            for _ in range(2):
                statement.again().show(name)
        else:
            raise SystemExit("odbc.py: unknown mode %s" % mode)


main()
