/* The instrumented module in wabt's interpreter, with the three markers as host functions; or the
 * counted one, whose fuel is in its globals. */
#include "compiler/instrument/stack.h"
#include "tests/oracle/oracle.h"

#include <wabt/binary-reader.h>
#include <wabt/interp/binary-reader-interp.h>
#include <wabt/interp/interp.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace interp = wabt::interp;

namespace
{

/* wabt 1.0.32 limits its call stack to the capacity of this vector, 1365 frames, and offers no way
 * to change it. Explicit instantiation may name private members (C++17, [temp.explicit]), so here
 * we widen it. The smallest weight of a function is SM_STACK_FRAME_WEIGHT, which bounds the frames
 * that the stack markers let through; the entry and a host function need one more each. */
constexpr size_t frames_max = SM_STACK_LIMIT / SM_STACK_FRAME_WEIGHT + 2;

template <std::vector<interp::Frame> interp::Thread::*member> struct Opened {
    friend std::vector<interp::Frame> &frames_of(interp::Thread &thread)
    {
        return thread.*member;
    }
};
std::vector<interp::Frame> &frames_of(interp::Thread &thread);
template struct Opened<&interp::Thread::frames_>;

struct Run {
    const oracle_call *call;
    oracle_outcome *outcome;
    uint64_t fuel_left; /* counted: what the host has left of it */
    int64_t stack_left;
    bool is_ended; /* by a marker or the host: the outcome holds how */
};

uint8_t code_of(interp::ValueType type)
{
    return static_cast<uint8_t>(type) & 0x7f; /* wabt numbers types as in the binary format */
}

uint64_t bits_of(interp::ValueType type, interp::Value value)
{
    switch (code_of(type)) {
    case SMELT_VALTYPE_I32:
    case SMELT_VALTYPE_F32:
        return value.Get<uint32_t>();
    default:
        return value.Get<uint64_t>();
    }
}

interp::Value value_of(interp::ValueType type, uint64_t bits)
{
    return code_of(type) == SMELT_VALTYPE_I32 || code_of(type) == SMELT_VALTYPE_F32
               ? interp::Value::Make(static_cast<uint32_t>(bits))
               : interp::Value::Make(bits);
}

std::vector<uint8_t> codes_of(const interp::ValueTypes &types)
{
    std::vector<uint8_t> codes;
    for (interp::ValueType type : types) {
        codes.push_back(code_of(type));
    }
    return codes;
}

const struct {
    const char *message; /* or its beginning */
    smelt_trap trap;
} trap_messages[] = {
    {"unreachable executed", SMELT_TRAP_UNREACHABLE},
    {"out of bounds memory access", SMELT_TRAP_MEMORY_OUT_OF_BOUNDS},
    {"integer divide by zero", SMELT_TRAP_INTEGER_DIVIDE_BY_ZERO},
    {"integer overflow", SMELT_TRAP_INTEGER_OVERFLOW},
    {"invalid conversion to integer", SMELT_TRAP_INVALID_CONVERSION},
    {"out of bounds table access", SMELT_TRAP_TABLE_OUT_OF_BOUNDS},
    {"undefined table index", SMELT_TRAP_UNDEFINED_ELEMENT},
    {"uninitialized table element", SMELT_TRAP_UNINITIALIZED_ELEMENT},
    {"indirect call signature mismatch", SMELT_TRAP_INDIRECT_CALL_TYPE_MISMATCH},
};

smelt_trap trap_of(const std::string &message)
{
    for (const auto &row : trap_messages) {
        if (message.compare(0, std::strlen(row.message), row.message) == 0) {
            return row.trap;
        }
    }
    std::fprintf(stderr, "interpreter: a trap without a code: %s\n", message.c_str());
    std::exit(EXIT_FAILURE);
}

} // namespace

struct interpreter {
    interpreter_kind kind;
    interp::Store store;
    interp::Module::Ptr module;
    interp::Instance::Ptr instance; /* of the running call; empty while its segments are applied */
    Run run;
};

namespace
{

/* ---- host functions -------------------------------------------------------------------------- */

wabt::Result end_run(interpreter &self, oracle_end end, smelt_trap trap, interp::Trap::Ptr *out)
{
    self.run.outcome->end = end;
    self.run.outcome->trap = trap;
    self.run.is_ended = true;
    *out = interp::Trap::New(self.store, "ended");
    return wabt::Result::Error;
}

wabt::Result marker_fuel(interpreter &self, uint64_t amount, interp::Trap::Ptr *out)
{
    if (amount > self.run.fuel_left) {
        self.run.fuel_left = 0;
        return end_run(self, ORACLE_OUT_OF_FUEL, SMELT_TRAP_NONE, out);
    }
    self.run.fuel_left -= amount;
    return wabt::Result::Ok;
}

wabt::Result marker_enter(interpreter &self, uint32_t weight, interp::Trap::Ptr *out)
{
    self.run.stack_left -= weight;
    if (self.run.stack_left < 0) {
        return end_run(self, ORACLE_TRAPPED, SMELT_TRAP_STACK_OVERFLOW, out);
    }
    return wabt::Result::Ok;
}

/* One of the globals behind the module's own. */
uint64_t count_of(interpreter &self, uint32_t index)
{
    const interp::RefVec &globals = self.instance->globals();
    const interp::Ref ref = globals[globals.size() - ORACLE_COUNT_GLOBALS + index];
    return self.store.UnsafeGet<interp::Global>(ref)->Get().Get<uint64_t>();
}

oracle_memory memory_of(interpreter &self)
{
    if (self.instance->memories().empty()) {
        return {};
    }
    auto memory = self.store.UnsafeGet<interp::Memory>(self.instance->memories()[0]);
    return {memory->UnsafeData(), memory->ByteSize()};
}

wabt::Result call_host(interpreter &self, uint32_t import, const interp::FuncType &type,
                       const interp::Values &params, interp::Values &results,
                       interp::Trap::Ptr *out)
{
    const auto param_codes = codes_of(type.params);
    const auto result_codes = codes_of(type.results);
    const oracle_signature signature = {
        param_codes.data(), static_cast<uint32_t>(param_codes.size()), result_codes.data(),
        static_cast<uint32_t>(result_codes.size())};
    uint64_t slots[ORACLE_VALUES_MAX] = {};
    for (size_t i = 0; i < params.size(); i++) {
        slots[i] = bits_of(type.params[i], params[i]);
    }
    uint64_t used = self.kind == INTERPRETER_COUNTED ? count_of(self, ORACLE_COUNT_USED) : 0;
    uint64_t fuel = self.run.fuel_left > used ? self.run.fuel_left - used : 0;
    const oracle_answer answer = oracle_host_call(self.run.call, self.run.outcome, import,
                                                  &signature, slots, memory_of(self), &fuel);
    self.run.fuel_left = fuel + used;
    if (answer == ORACLE_STOP) {
        return end_run(self, self.run.outcome->end, self.run.outcome->trap, out);
    }
    results.resize(type.results.size()); /* empty when an import is called as an export */
    for (size_t i = 0; i < results.size(); i++) {
        results[i] = value_of(type.results[i], slots[i]);
    }
    return wabt::Result::Ok;
}

interp::HostFunc::Ptr import_of(interpreter &self, const interp::ImportType &import,
                                uint32_t number)
{
    const auto &type = *wabt::cast<interp::FuncType>(import.type.get());
    interp::HostFunc::Callback callback;
    if (self.kind == INTERPRETER_COUNTED || import.module != "m") {
        callback = [&self, &type, number](interp::Thread &, const interp::Values &params,
                                          interp::Values &results, interp::Trap::Ptr *out) {
            return call_host(self, number, type, params, results, out);
        };
    } else if (import.name == "fuel") {
        callback = [&self](interp::Thread &, const interp::Values &params, interp::Values &,
                           interp::Trap::Ptr *out) {
            return marker_fuel(self, params[0].Get<uint64_t>(), out);
        };
    } else if (import.name == "enter") {
        callback = [&self](interp::Thread &, const interp::Values &params, interp::Values &,
                           interp::Trap::Ptr *out) {
            return marker_enter(self, params[0].Get<uint32_t>(), out);
        };
    } else {
        callback = [&self](interp::Thread &, const interp::Values &params, interp::Values &,
                           interp::Trap::Ptr *) {
            self.run.stack_left += params[0].Get<uint32_t>();
            return wabt::Result::Ok;
        };
    }
    return interp::HostFunc::New(self.store, type, callback);
}

/* ---- one call -------------------------------------------------------------------------------- */

/* False when a segment traps. */
bool instantiate(interpreter &self, interp::Trap::Ptr *trap)
{
    interp::RefVec imports;
    for (const auto &import : self.module->import_types()) {
        const auto number = static_cast<uint32_t>(imports.size());
        imports.push_back(import_of(self, import, number).ref());
    }
    self.instance = interp::Instance::Instantiate(self.store, self.module.ref(), imports, trap);
    return static_cast<bool>(self.instance);
}

/* Exports of other kinds are between those of functions. */
interp::Func::Ptr exported_func(interpreter &self, uint32_t number)
{
    const auto &exports = self.module->desc().exports;
    size_t at = 0;
    for (;; at++) {
        if (exports[at].type.type->kind == interp::ExternKind::Func && number-- == 0) {
            break;
        }
    }
    return self.store.UnsafeGet<interp::Func>(self.instance->exports()[at]);
}

void call_export(interpreter &self, interp::Trap::Ptr *trap)
{
    const oracle_call &call = *self.run.call;
    auto func = exported_func(self, call.export_index);
    const interp::FuncType &type = func->type();
    interp::Values params;
    interp::Values results;
    for (size_t i = 0; i < type.params.size(); i++) {
        params.push_back(value_of(type.params[i], call.args[i]));
    }
    interp::Thread thread(self.store);
    frames_of(thread).reserve(frames_max);
    if (wabt::Succeeded(func->Call(thread, params, results, trap))) {
        for (size_t i = 0; i < results.size(); i++) {
            self.run.outcome->results[i] = bits_of(type.results[i], results[i]);
        }
    }
}

void take_count(interpreter &self, oracle_outcome *out)
{
    const bool has_host_charges = out->fuel_used != 0; /* so far there are no others */
    out->fuel_used += count_of(self, ORACLE_COUNT_USED);
    if (out->end != ORACLE_RETURNED) {
        out->fuel_used += count_of(self, ORACLE_COUNT_DEBT);
    }
    for (uint32_t i = 0; i < ORACLE_DYNAMIC_COUNT && !has_host_charges; i++) {
        out->dynamic[i] = count_of(self, ORACLE_COUNT_DYNAMIC + i);
    }
}

} // namespace

interpreter *interpreter_open(smelt_slice wasm, interpreter_kind kind, char *problem,
                              size_t problem_size)
{
    wabt::Errors errors;
    interp::ModuleDesc desc;
    const wabt::ReadBinaryOptions options;
    if (wabt::Failed(interp::ReadBinaryInterp("module", wasm.data, wasm.size, options,
                                              &errors, &desc))) {
        std::snprintf(problem, problem_size, "%s",
                      errors.empty() ? "" : errors.front().message.c_str());
        return nullptr;
    }
    auto *self = new interpreter;
    self->kind = kind;
    self->module = interp::Module::New(self->store, desc);
    return self;
}

void interpreter_close(interpreter *self)
{
    delete self;
}

void interpreter_run(interpreter *self, const oracle_call *call, oracle_outcome *out)
{
    interp::Trap::Ptr trap;
    *out = {};
    self->run = {call, out, call->fuel, static_cast<int64_t>(SM_STACK_LIMIT), false};
    const bool is_started = instantiate(*self, &trap);
    if (is_started && call->stack_weight > self->run.stack_left) {
        (void)end_run(*self, ORACLE_TRAPPED, SMELT_TRAP_STACK_OVERFLOW, &trap);
    } else if (is_started) {
        self->run.stack_left -= call->stack_weight;
        call_export(*self, &trap);
    }
    if (trap && !self->run.is_ended) {
        out->end = ORACLE_TRAPPED;
        out->trap = trap_of(trap->message());
    }
    out->fuel_used = call->fuel - self->run.fuel_left;
    if (is_started && self->kind == INTERPRETER_COUNTED) {
        take_count(*self, out);
    }
    if (is_started && out->end != ORACLE_OUT_OF_FUEL) {
        const oracle_memory memory = memory_of(*self);
        oracle_take_memory(out, memory.data, memory.size);
    }
    self->instance.reset();
    trap.reset();
    self->store.Collect();
}
