#!/usr/bin/env python3
"""Changes one key of a RocksDB database behind the program's back, through RocksDB itself.

usage: tamper.py DIRECTORY FAMILY KEY VALUE
       tamper.py DIRECTORY FAMILY KEY -          deletes it
       tamper.py DIRECTORY FAMILY                prints the keys

Keys and values are hex. Exit code 77 without RocksDB's shared library."""
import ctypes
import ctypes.util
import sys


def main():
    library = ctypes.util.find_library("rocksdb")
    if library is None:
        sys.exit(77)
    db = ctypes.CDLL(library)
    for name in ("options_create", "open_column_families", "writeoptions_create", "list_column_families",
                 "readoptions_create", "create_iterator_cf", "iter_key"):
        getattr(db, "rocksdb_" + name).restype = ctypes.c_void_p
    db.rocksdb_iter_valid.restype = ctypes.c_ubyte

    directory, wanted = sys.argv[1].encode(), sys.argv[2]
    problem = ctypes.c_char_p()
    options = ctypes.c_void_p(db.rocksdb_options_create())
    count = ctypes.c_size_t()
    listed = db.rocksdb_list_column_families(options, directory, ctypes.byref(count), ctypes.byref(problem))
    if problem.value:
        sys.exit(problem.value.decode())
    names = ctypes.cast(listed, ctypes.POINTER(ctypes.c_char_p))[:count.value]
    handles = (ctypes.c_void_p * len(names))()
    opened = ctypes.c_void_p(db.rocksdb_open_column_families(
        options, directory, len(names), (ctypes.c_char_p * len(names))(*names),
        (ctypes.c_void_p * len(names))(*[options] * len(names)), handles, ctypes.byref(problem)))
    if problem.value:
        sys.exit(problem.value.decode())
    family = ctypes.c_void_p(handles[names.index(wanted.encode())])

    if len(sys.argv) == 3:
        at = ctypes.c_void_p(db.rocksdb_create_iterator_cf(opened, ctypes.c_void_p(db.rocksdb_readoptions_create()),
                                                           family))
        db.rocksdb_iter_seek_to_first(at)
        while db.rocksdb_iter_valid(at):
            size = ctypes.c_size_t()
            key = db.rocksdb_iter_key(at, ctypes.byref(size))
            print(ctypes.string_at(key, size.value).hex())
            db.rocksdb_iter_next(at)
        db.rocksdb_iter_destroy(at)
    else:
        key, value = bytes.fromhex(sys.argv[3]), sys.argv[4]
        write = ctypes.c_void_p(db.rocksdb_writeoptions_create())
        if value == "-":
            db.rocksdb_delete_cf(opened, write, family, key, ctypes.c_size_t(len(key)), ctypes.byref(problem))
        else:
            text = bytes.fromhex(value)
            db.rocksdb_put_cf(opened, write, family, key, ctypes.c_size_t(len(key)), text,
                              ctypes.c_size_t(len(text)), ctypes.byref(problem))
        if problem.value:
            sys.exit(problem.value.decode())
    for handle in handles:
        db.rocksdb_column_family_handle_destroy(ctypes.c_void_p(handle))
    db.rocksdb_close(opened)


main()
