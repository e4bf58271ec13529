// All kernels under one entry: name, grid, block and an array of pointers to the arguments, as cuLaunchKernel takes them.
#pragma once
#include <cstddef>
#include <utility>

#include "adamw.cu"
#include "amax_columns.cu"
#include "amax_groups.cu"
#include "amax_rows.cu"
#include "amax_tensor.cu"
#include "cast_groups.cu"
#include "cast_rowmajor.cu"
#include "cast_rows.cu"
#include "cast_tensor.cu"
#include "cast_transposed.cu"
#include "clear_rows.cu"
#include "cross_entropy.cu"
#include "decode.cu"
#include "decode_blocks.cu"
#include "mx_dim0.cu"
#include "mx_dim1.cu"
#include "rescale.cu"
#include "rms_norm_backward.cu"
#include "rms_norm_forward.cu"
#include "rotary.cu"
#include "scale_from_amax.cu"
#include "scale_unless_one.cu"
#include "swiglu.cu"

namespace emulation
{
template <typename... Arguments, size_t... I>
void call(void (*kernel)(Arguments...), void** parameters, std::index_sequence<I...>)
{
    (void)parameters;
    kernel(*static_cast<std::remove_const_t<Arguments>*>(parameters[I])...);
}

template <typename... Arguments> std::function<void()> bind(void (*kernel)(Arguments...), void** parameters)
{
    return [=] { call(kernel, parameters, std::index_sequence_for<Arguments...> {}); };
}

// Finds a kernel; an empty function if there is none of that name. The table is the list of what the tests can run, and a test holds it complete.
inline std::function<void()> find(const std::string& name, void** parameters)
{
#define ROW(kernel) \
    if (name == #kernel) return bind(kernel, parameters);
    ROW(adamw_f32)
    ROW(amax_columns_finish_bf16)
    ROW(amax_columns_finish_f32)
    ROW(amax_columns_partial_bf16)
    ROW(amax_columns_partial_f32)
    ROW(amax_finish)
    ROW(amax_groups_bf16)
    ROW(amax_groups_f32)
    ROW(amax_parts_bf16)
    ROW(amax_parts_f32)
    ROW(amax_rows_bf16)
    ROW(amax_rows_f32)
    ROW(cast_groups_bf16_e4m3)
    ROW(cast_groups_bf16_e5m2)
    ROW(cast_groups_f32_e4m3)
    ROW(cast_groups_f32_e5m2)
    ROW(cast_rowmajor_bf16_e4m3)
    ROW(cast_rowmajor_bf16_e5m2)
    ROW(cast_rowmajor_f32_e4m3)
    ROW(cast_rowmajor_f32_e5m2)
    ROW(cast_rows_bf16_e4m3)
    ROW(cast_rows_bf16_e5m2)
    ROW(cast_rows_columns_bf16_e4m3)
    ROW(cast_rows_columns_bf16_e5m2)
    ROW(cast_rows_columns_f32_e4m3)
    ROW(cast_rows_columns_f32_e5m2)
    ROW(cast_rows_f32_e4m3)
    ROW(cast_rows_f32_e5m2)
    ROW(cast_tensor_bf16_e4m3)
    ROW(cast_tensor_bf16_e5m2)
    ROW(cast_tensor_f32_e4m3)
    ROW(cast_tensor_f32_e5m2)
    ROW(cast_tensor_transposed_bf16_e4m3)
    ROW(cast_tensor_transposed_bf16_e5m2)
    ROW(cast_tensor_transposed_f32_e4m3)
    ROW(cast_tensor_transposed_f32_e5m2)
    ROW(cast_transposed_bf16_e4m3)
    ROW(cast_transposed_bf16_e5m2)
    ROW(cast_transposed_f32_e4m3)
    ROW(cast_transposed_f32_e5m2)
    ROW(clear_rows_bf16)
    ROW(clear_rows_f32)
    ROW(cross_entropy_bf16)
    ROW(cross_entropy_f32)
    ROW(decode_blocks_e4m3_bf16)
    ROW(decode_blocks_e4m3_f32)
    ROW(decode_blocks_e5m2_bf16)
    ROW(decode_blocks_e5m2_f32)
    ROW(decode_e4m3_bf16)
    ROW(decode_e4m3_f32)
    ROW(decode_e5m2_bf16)
    ROW(decode_e5m2_f32)
    ROW(mx_dim0_bf16_e4m3)
    ROW(mx_dim0_bf16_e5m2)
    ROW(mx_dim0_f32_e4m3)
    ROW(mx_dim0_f32_e5m2)
    ROW(mx_dim1_bf16_e4m3)
    ROW(mx_dim1_bf16_e5m2)
    ROW(mx_dim1_f32_e4m3)
    ROW(mx_dim1_f32_e5m2)
    ROW(rescale_bf16_bf16)
    ROW(rescale_bf16_f32)
    ROW(rescale_f32_bf16)
    ROW(rescale_f32_f32)
    ROW(rms_norm_backward_bf16)
    ROW(rms_norm_backward_f32)
    ROW(rms_norm_backward_finish_bf16)
    ROW(rms_norm_backward_finish_f32)
    ROW(rms_norm_forward_bf16)
    ROW(rms_norm_forward_f32)
    ROW(rotary_bf16)
    ROW(rotary_f32)
    ROW(scale_from_amax)
    ROW(scale_unless_one_bf16)
    ROW(scale_unless_one_f32)
    ROW(swiglu_backward_bf16)
    ROW(swiglu_backward_f32)
    ROW(swiglu_forward_bf16)
    ROW(swiglu_forward_f32)
#undef ROW
    return {};
}

// Empty on success, else what is wrong.
inline std::string launch(const std::string& name, Index grid, Index size, void** parameters, Order order, uint64_t seed)
{
    const auto body = find(name, parameters);
    if (!body) return "no kernel named " + name;
    if (size.x * size.y * size.z % 32 != 0) return name + ": the block is no multiple of 32 threads";
    run_grid(grid, size, order, seed, body);
    return block.failure.empty() ? "" : name + ": " + block.failure;
}
}
