/* Which function of a contract a transaction runs, and with what. */
#include "runtime/entry.h"

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/status.h"
#include "hostabi/profile.h"

#include <stdio.h>
#include <string.h>

#define WHERE "engine"

/* "i32, i64", cut off with an ellipsis when the list is long. */
static void types_text(const uint8_t *types, uint32_t count, char *out, size_t out_size)
{
    size_t used = 0;
    out[0] = '\0';
    for (uint32_t i = 0; i < count; i++) {
        bool is_full = used + sizeof(", i32, …") > out_size;
        (void)snprintf(out + used, out_size - used, "%s%s", i != 0 ? ", " : "",
                       is_full ? "…" : smelt_valtype_name((enum smelt_valtype)types[i]));
        if (is_full) {
            return;
        }
        used += strlen(out + used);
    }
}

enum smelt_status sm_entry_find(const struct sm_contract *contract,
                                const struct smelt_profile *profile, struct smelt_slice name,
                                const struct sm_export **out, struct smelt_error *err)
{
    int shown = (int)(name.size < 64 ? name.size : 64);
    const char *text = (const char *)name.data;
    *out = NULL;
    if (sm_profile_is_reserved(profile, name)) {
        return sm_error_set(err, SMELT_STATUS_UNKNOWN_FUNCTION, WHERE,
                            "%.*s is reserved by profile %s and cannot be called", shown, text,
                            profile->name);
    }
    const struct sm_export *export_ = sm_exec_find_export(contract->module, name);
    if (export_ == NULL) {
        return sm_error_set(err, SMELT_STATUS_UNKNOWN_FUNCTION, WHERE,
                            "the contract exports no function %.*s", shown, text);
    }
    for (uint32_t i = 0; i < export_->param_count; i++) {
        uint8_t type = export_->types[i];
        if (type != SMELT_VALTYPE_I32 && type != SMELT_VALTYPE_I64) {
            return sm_error_set(err, SMELT_STATUS_UNKNOWN_FUNCTION, WHERE,
                                "%.*s takes a parameter of type %s: only functions of i32 and i64 "
                                "parameters can be called",
                                shown, text, smelt_valtype_name((enum smelt_valtype)type));
        }
    }
    *out = export_;
    return SMELT_STATUS_OK;
}

/* The export's type, and what is wrong with the arguments. */
static enum smelt_status mismatch(const struct sm_export *export_,
                                  const struct smelt_value *arguments, size_t count,
                                  size_t argument, struct smelt_error *err)
{
    char wanted[128];
    char results[128];
    types_text(export_->types, export_->param_count, wanted, sizeof(wanted));
    types_text(export_->types + export_->param_count, export_->result_count, results,
               sizeof(results));
    if (count != export_->param_count) {
        return sm_error_set(err, SMELT_STATUS_ARGUMENT_MISMATCH, WHERE,
                            "%.*s is (%s) -> (%s), but %zu argument%s given",
                            (int)export_->name_size, export_->name, wanted, results, count,
                            count == 1 ? " was" : "s were");
    }
    return sm_error_set(err, SMELT_STATUS_ARGUMENT_MISMATCH, WHERE,
                        "%.*s is (%s) -> (%s), but argument %zu has type %s",
                        (int)export_->name_size, export_->name, wanted, results, argument + 1,
                        smelt_valtype_name(arguments[argument].type));
}

enum smelt_status sm_entry_pass(const struct sm_export *export_,
                                const struct smelt_value *arguments, size_t count, uint64_t *slots,
                                struct smelt_error *err)
{
    if (count != export_->param_count) {
        return mismatch(export_, arguments, count, 0, err);
    }
    for (size_t i = 0; i < count; i++) {
        if (arguments[i].type != export_->types[i]) {
            return mismatch(export_, arguments, count, i, err);
        }
        bool is_narrow = arguments[i].type == SMELT_VALTYPE_I32;
        slots[i] = is_narrow ? (uint32_t)arguments[i].bits : arguments[i].bits;
    }
    return SMELT_STATUS_OK;
}

enum smelt_status sm_entry_find_init(const struct sm_contract *contract,
                                     const struct smelt_profile *profile,
                                     const struct sm_export **out, struct smelt_error *err)
{
    const char *name = profile->init_export;
    *out = NULL;
    if (name == NULL) {
        return SMELT_STATUS_OK;
    }
    const struct sm_export *export_ =
        sm_exec_find_export(contract->module, smelt_slice_from_string(name));
    if (export_ != NULL && (export_->param_count != 0 || export_->result_count != 0)) {
        return sm_error_set_at(
            err, SMELT_STATUS_MODULE_EXPORT, "export", (int64_t)export_->func_index, -1,
            "export %s runs at deploy and must have the signature () -> ()", name);
    }
    *out = export_;
    return SMELT_STATUS_OK;
}
