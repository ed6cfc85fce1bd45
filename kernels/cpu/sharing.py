"""How the machine code of a kernel is shared out among threads: a hand-over without the GIL and without sleeping.

A kernel is compiled as kernel(first, last, *args). Called from Python as kernel(board, -count, *args) the same kernel
does range(count) together with the helpers of a team: it leaves a job on the board for each of them, does its own
share, takes back what nobody has begun, and waits for the rest. The helpers run `stand_by` and look at the board all
the time, for a while; who sleeps is woken by Python (see team.py). A hand-over between threads that sleep takes some 50
microseconds on a virtual machine, this one takes one or two.

The board is an array of int64. Its first line of cache says how many shares there are; each helper has one line:

| word | |
|---|---|
| STATE | FREE, JOB (to be begun by the helper or taken back), TAKEN, DONE, CALL (go back to Python for other work) |
| ASLEEP | 1 where the helper no longer looks, 2 where it has been woken since |
| CODE, BLOCK, FIRST, LAST | the job: a function of machine code, the arguments that it finds at BLOCK, and its range |
| STATUS, ERROR | what came of it, as Numba's functions return it |
"""

from __future__ import annotations

import platform
from typing import Any

from llvmlite import ir
from numba.core import cgutils, compiler, lowering, types
from numba.core.callwrapper import PyCallWrapper
from numba.core.compiler_machinery import register_pass
from numba.core.typed_passes import BaseNativeLowering, NativeLowering
from numba.extending import intrinsic

LINE = 16  # words: two lines of cache, which processors fetch together
STATE, ASLEEP, CODE, BLOCK, FIRST, LAST, STATUS, ERROR = range(8)
FREE, JOB, TAKEN, DONE, CALL = range(5)
PATIENCE = 2000  # looks for the end of a helper's share before other programs may have the core between two looks

WORD = ir.IntType(64)
BYTES = ir.IntType(8).as_pointer()
CODE_OF_A_JOB = ir.FunctionType(ir.VoidType(), [WORD.as_pointer()])  # called with the helper's line of the board


class Writer:
    """Writes the machine code around a board; `line` is the address of a helper's line."""

    def __init__(self, builder: Any) -> None:
        self.builder = builder

    def int(self, value: int) -> Any:
        return ir.Constant(WORD, value)

    def word(self, line: Any, number: int) -> Any:
        return self.builder.gep(line, [self.int(number)])

    def read(self, line: Any, number: int) -> Any:
        """An ordinary read: after `look` or `swap` has found what another thread wrote last."""
        return self.builder.load(self.word(line, number))

    def write(self, line: Any, number: int, value: Any) -> None:
        self.builder.store(value, self.word(line, number))

    def look(self, line: Any, number: int) -> Any:
        """What another thread may have written, with all that it wrote before."""
        return self.builder.load_atomic(self.word(line, number), "seq_cst", 8)

    def show(self, line: Any, number: int, value: int) -> None:
        """Write for another thread to see, with all that was written before."""
        self.builder.store_atomic(self.int(value), self.word(line, number), "seq_cst", 8)

    def swap(self, line: Any, number: int, old: int, new: int) -> Any:
        """Write `new` where `old` stands; whether it did."""
        pair = self.builder.cmpxchg(self.word(line, number), self.int(old), self.int(new), "seq_cst")
        return self.builder.extract_value(pair, 1)

    def equal(self, a: Any, b: int) -> Any:
        return self.builder.icmp_signed("==", a, ir.Constant(a.type, b))

    def rest(self) -> None:
        """Tell the processor that this is a loop that waits."""
        machine = platform.machine().lower()
        if machine in ("x86_64", "amd64"):
            self._call("llvm.x86.sse2.pause", [])
        elif machine in ("arm64", "aarch64"):
            self._call("llvm.aarch64.hint", [ir.Constant(ir.IntType(32), 1)])  # yield

    def _call(self, name: str, values: list[Any]) -> None:
        kind = ir.FunctionType(ir.VoidType(), [value.type for value in values])
        self.builder.call(cgutils.get_or_insert_function(self.builder.module, kind, name), values)

    def block(self, name: str) -> Any:
        return self.builder.append_basic_block(name)


def share_out(context: Any, library: Any, fndesc: Any, env: Any, call_helper: Any, release_gil: bool) -> None:
    """Write the function that Python calls in the place of the kernel itself."""
    module = context.create_module("sharing")
    kind = context.call_conv.get_function_type(fndesc.restype, fndesc.argtypes)
    kernel = ir.Function(module, kind, fndesc.llvm_func_name)
    shared = ir.Function(module, kind, f"{fndesc.llvm_func_name}.shared")
    shared.linkage = "linkonce_odr"
    job = ir.Function(module, CODE_OF_A_JOB, f"{fndesc.llvm_func_name}.job")
    job.linkage = "internal"
    block = ir.LiteralStructType([argument.type for argument in shared.args[4:]])
    _write_job(job, kernel, block)
    _write_shared(shared, kernel, job, block)
    wrapper = PyCallWrapper(context, module, shared, fndesc, env, call_helper=call_helper, release_gil=release_gil)
    wrapper.build()
    library.add_ir_module(module)


def _write_job(job: ir.Function, kernel: ir.Function, block: Any) -> None:
    """The code of a job: the kernel with the arguments and the range that the helper's line names."""
    builder = ir.IRBuilder(job.append_basic_block())
    write, (line,) = Writer(builder), job.args
    result, error = (builder.alloca(argument.type.pointee) for argument in kernel.args[:2])
    arguments = builder.load(builder.inttoptr(write.read(line, BLOCK), block.as_pointer()))
    rest = [builder.extract_value(arguments, i) for i in range(len(block.elements))]
    first, last = write.read(line, FIRST), write.read(line, LAST)
    status = builder.call(kernel, [result, error, first, last, *rest], attrs=("noinline",))
    write.write(line, STATUS, builder.sext(status, WORD))
    write.write(line, ERROR, builder.ptrtoint(builder.load(error), WORD))
    builder.ret_void()


def _write_shared(shared: ir.Function, kernel: ir.Function, job: ir.Function, block: Any) -> None:
    """kernel(first, last, *args) as it is, kernel(board, -count, *args) with the helpers."""
    builder = ir.IRBuilder(shared.append_basic_block("entry"))
    write = Writer(builder)
    result, error, first, last, *rest = shared.args
    arguments, problem = builder.alloca(block), builder.alloca(error.type.pointee)
    with builder.if_then(builder.icmp_signed(">=", last, write.int(0))):
        builder.ret(builder.call(kernel, [result, error, first, last, *rest], attrs=("noinline",)))
    for i, value in enumerate(rest):
        builder.store(value, builder.gep(arguments, [ir.Constant(ir.IntType(32), n) for n in (0, i)]))
    board, count = builder.inttoptr(first, WORD.as_pointer()), builder.neg(last)
    shares = builder.load(board)

    def bound(i: Any) -> Any:
        return builder.sdiv(builder.mul(count, i), shares)

    def helpers(name: str) -> Any:
        return _Lines(write, board, shares, name)

    with helpers("give") as (i, line):
        write.write(line, CODE, builder.ptrtoint(job, WORD))
        write.write(line, BLOCK, builder.ptrtoint(arguments, WORD))
        write.write(line, FIRST, bound(i))
        write.write(line, LAST, bound(builder.add(i, write.int(1))))
        write.show(line, STATE, JOB)
    mine = builder.call(kernel, [result, error, write.int(0), bound(write.int(1)), *rest], attrs=("noinline",))
    outcome = builder.alloca(mine.type)
    builder.store(mine, outcome)

    def keep(status: Any, found: Any) -> None:
        """The first error is the one that is reported."""
        failed = builder.and_(builder.not_(write.equal(status, 0)), write.equal(builder.load(outcome), 0))
        with builder.if_then(failed, likely=False):
            builder.store(status, outcome)
            builder.store(found, error)

    with helpers("take") as (_, line):
        back = write.swap(line, STATE, JOB, FREE)
        with builder.if_else(back) as (then, otherwise):
            with then:  # the helper sleeps, or is about to wake up
                here = [result, problem, write.read(line, FIRST), write.read(line, LAST), *rest]
                status = builder.call(kernel, here, attrs=("noinline",))
                keep(status, builder.load(problem))
            with otherwise:
                _wait(write, line)
                status = builder.trunc(write.read(line, STATUS), mine.type)
                keep(status, builder.inttoptr(write.read(line, ERROR), error.type.pointee))
                write.show(line, STATE, FREE)
    builder.ret(builder.load(outcome))


class _Lines:
    """A loop over the helpers that have a share: their number, from 1 on, and their line of the board."""

    def __init__(self, write: Writer, board: Any, shares: Any, name: str) -> None:
        self.write, self.board, self.shares = write, board, shares
        self.top, self.body, self.end = (write.block(f"{name}.{part}") for part in ("top", "body", "end"))

    def __enter__(self) -> tuple[Any, Any]:
        write, builder = self.write, self.write.builder
        before = builder.block
        builder.branch(self.top)
        builder.position_at_end(self.top)
        self.number = builder.phi(WORD)
        self.number.add_incoming(write.int(1), before)
        builder.cbranch(builder.icmp_signed("<", self.number, self.shares), self.body, self.end)
        builder.position_at_end(self.body)
        return self.number, builder.gep(self.board, [builder.mul(self.number, write.int(LINE))])

    def __exit__(self, *error: object) -> None:
        builder = self.write.builder
        self.number.add_incoming(builder.add(self.number, self.write.int(1)), builder.block)
        builder.branch(self.top)
        builder.position_at_end(self.end)


def _wait(write: Writer, line: Any) -> None:
    """Wait for DONE; after a while, with the core free for others: the helper may have lost its own to them."""
    builder = write.builder
    yielded = ir.Function(builder.module, ir.FunctionType(ir.IntType(32), []), "sched_yield")
    look, again, end = (write.block(f"wait.{name}") for name in ("look", "again", "end"))
    before = builder.block
    builder.branch(look)
    builder.position_at_end(look)
    looks = builder.phi(WORD)
    looks.add_incoming(write.int(0), before)
    builder.cbranch(write.equal(write.look(line, STATE), DONE), end, again)
    builder.position_at_end(again)
    write.rest()
    with builder.if_then(builder.icmp_signed(">", looks, write.int(PATIENCE)), likely=False):
        builder.call(yielded, [])
    looks.add_incoming(builder.add(looks, write.int(1)), builder.block)
    builder.branch(look)
    builder.position_at_end(end)


@intrinsic
def stand_by(typingctx, line, looks):  # type: ignore[no-untyped-def]
    """Do the jobs on the helper's line (an address) until CALL, or so many looks in vain; ASLEEP is 1 then."""

    def write_code(context, builder, signature, values):  # type: ignore[no-untyped-def]
        write = Writer(builder)
        address, limit = values
        line = builder.inttoptr(address, WORD.as_pointer())
        names = "look", "work", "other", "idle", "sleep", "end"
        look, work, other, idle, sleep, end = (write.block(name) for name in names)
        write.show(line, ASLEEP, 0)
        before = builder.block
        builder.branch(look)

        builder.position_at_end(look)
        vain = builder.phi(WORD)
        vain.add_incoming(write.int(0), before)
        state = write.look(line, STATE)
        builder.cbranch(write.equal(state, JOB), work, other)

        builder.position_at_end(work)
        with builder.if_then(write.swap(line, STATE, JOB, TAKEN)):
            job = builder.inttoptr(write.read(line, CODE), CODE_OF_A_JOB.as_pointer())
            builder.call(job, [line])
            write.show(line, STATE, DONE)
        vain.add_incoming(write.int(0), builder.block)
        builder.branch(look)

        builder.position_at_end(other)
        builder.cbranch(write.equal(state, CALL), sleep, idle)

        builder.position_at_end(idle)
        write.rest()
        more = builder.add(vain, write.int(1))
        vain.add_incoming(more, builder.block)
        builder.cbranch(builder.icmp_signed("<", more, limit), look, sleep)

        builder.position_at_end(sleep)
        write.show(line, ASLEEP, 1)
        with builder.if_then(write.equal(write.look(line, STATE), JOB)):  # it came just before that was seen
            write.show(line, ASLEEP, 0)
            vain.add_incoming(write.int(0), builder.block)
            builder.branch(look)
        builder.branch(end)
        builder.position_at_end(end)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), write_code


class SharedLower(lowering.Lower):
    """Numba's last step for a function, which makes what Python calls."""

    def create_cpython_wrapper(self, release_gil: bool = False) -> None:
        """Make the call from Python of kernels over a range one that can be shared out."""
        first = tuple(self.fndesc.argtypes[:2])
        if release_gil and self.fndesc.restype == types.none and first == (types.int64, types.int64):
            share_out(self.context, self.library, self.fndesc, self.env, self.call_helper, release_gil)
        else:
            super().create_cpython_wrapper(release_gil)


@register_pass(mutates_CFG=True, analysis_only=False)
class SharedLowering(BaseNativeLowering):
    """The pass that uses it."""

    _name = "deepcore_shared_lowering"

    @property
    def lowering_class(self) -> type[lowering.Lower]:
        return SharedLower


class KernelCompiler(compiler.CompilerBase):
    """Numba's compiler with that pass in the place of its own."""

    def define_pipelines(self) -> list[Any]:
        """Return the steps of a compilation."""
        manager = compiler.DefaultPassBuilder.define_nopython_pipeline(self.state)
        manager.passes = [
            (SharedLowering, text) if step is NativeLowering else (step, text) for step, text in manager.passes
        ]
        manager.finalize()
        return [manager]
