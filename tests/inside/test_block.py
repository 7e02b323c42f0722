"""What a reader outside of the process finds: the block of memory that `hook/block.rs` describes."""

import struct
import subprocess
import textwrap

from conftest import clean_environment

PROGRAM = """
    import asyncio, sys
    from async_trace.debug import debug_before_await

    async def handler():
        debug_before_await("slow query")
        await asyncio.get_running_loop().create_future()

    async def main():
        task = asyncio.create_task(handler())
        await asyncio.sleep(0)
        print("READY", id(task), id(main.__code__), id(handler.__code__), flush=True)
        await task

    asyncio.run(main())
"""


class Process:
    """Reads the memory of a process as the kernel shows it."""

    def __init__(self, pid):
        self._pid = pid
        self._memory = open(f"/proc/{pid}/mem", "rb", buffering=0)

    def read(self, address, size):
        self._memory.seek(address)
        return self._memory.read(size)

    def unpack(self, form, address):
        return struct.unpack(form, self.read(address, struct.calcsize(form)))

    def word(self, address):
        return self.unpack("Q", address)[0]

    def section(self, library, name):
        """Where a section of a loaded library lies."""
        with open(f"/proc/{self._pid}/maps") as maps:
            fields = next(line.split() for line in maps if line.rstrip().endswith(library) and " 00000000 " in line)
        base = int(fields[0].split("-")[0], 16)
        with open(fields[-1], "rb") as file:
            elf = file.read()
        (table,) = struct.unpack_from("<Q", elf, 40)
        entry, count, strings = struct.unpack_from("<HHH", elf, 58)
        headers = [struct.unpack_from("<IIQQQQ", elf, table + entry * i) for i in range(count)]
        names = headers[strings][4]
        for start, _, _, address, _, size in headers:
            found = elf[names + start : elf.index(b"\0", names + start)]
            if found.decode() == name:
                return base + address, size
        raise AssertionError(f"no section {name}")


def test_creation_sites_and_operations_can_be_read_from_outside(package, interpreter, tmp_path):
    path = tmp_path / "app.py"
    path.write_text(textwrap.dedent(PROGRAM))
    with subprocess.Popen(
        [interpreter.path, str(path)], env=clean_environment(package, ASYNC_TRACE="1", ASYNC_TRACE_SAMPLE="0"), stdout=subprocess.PIPE, text=True
    ) as target:
        try:
            task, main, handler = map(int, target.stdout.readline().split()[1:])
            process = Process(target.pid)
            block, size = process.section("_core.abi3.so", ".AsyncTrace")
            magic, version, block_size, enabled, node_size = process.unpack("8sIIII", block)
            assert (magic, version, enabled) == (b"AsyncTrc", 1, 1)
            assert block_size == size
            nodes, capacity, record_type = process.unpack("QQQ", block + 24)
            record_node, record_parent = process.unpack("II", block + 48)
            slot, operations = process.unpack("QQ", block + 56)
            count, operation_size = process.unpack("II", block + 72)

            record = process.word(task + slot)
            assert process.word(record + 8) == record_type
            (node,) = process.unpack("I", record + record_node)
            assert 1 < node < capacity
            assert process.word(record + record_parent) != 0
            codes = []
            while node > 1:
                code, _, node, lasti, created, live = process.unpack("QQIiQI", nodes + node * node_size)
                codes.append(code)
            # create_task and what it calls, then the coroutine that called it: the task ends there.
            assert codes[-1] == main
            assert lasti > 0

            found = []
            for index in range(count):
                entry = operations + index * operation_size
                sequence, owner, started, code, lasti, length = process.unpack("QQQQiI", entry)
                if owner:
                    found.append((sequence % 2, owner, code, process.read(entry + 40, length)))
            assert found == [(0, task, handler, b"slow query")]
        finally:
            target.kill()
