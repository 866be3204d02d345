// What the files of the products share; the interface is in include/product_declarations.h.
#ifndef CKERNELS_PRODUCTS_INTERNAL_H
#define CKERNELS_PRODUCTS_INTERNAL_H

#include "CKernels.h"
#include "multiversion.h"

typedef struct {
  void (*pack_left)(ckernels_number_part part, const float *a, size_t stride, bool transposed, size_t rows,
                    size_t depth, size_t units, uint32_t *packed, size_t packed_stride);
  void (*pack_right)(ckernels_number_part part, const float *b, size_t stride, bool transposed, size_t columns,
                     size_t depth, size_t units, uint32_t *packed);
  // Of operands that are bfloat16 numbers already; nothing is rounded. What is below the smallest normal number is packed as it is:
  // instructions of pairs take it for 0 themselves.
  void (*pack_left_bfloat16)(ckernels_number_part part, const uint16_t *a, size_t stride, bool transposed, size_t rows,
                             size_t depth, size_t units, uint32_t *packed, size_t packed_stride);
  void (*pack_right_bfloat16)(ckernels_number_part part, const uint16_t *b, size_t stride, bool transposed,
                              size_t columns, size_t depth, size_t units, uint32_t *packed);
  void (*multiply)(size_t rows, size_t columns, size_t units, const uint32_t *left, size_t left_stride,
                   const uint32_t *right, float alpha, float *c, size_t stride, bool accumulates);
  double (*peak)(size_t rounds);
} product_kernels;

extern const product_kernels products_portable, products_emulated_fma, products_emulated_avx512_bf16,
    products_emulated_amx;
#if defined(__x86_64__)
extern const product_kernels products_avx2, products_avx512, products_avx512_bf16, products_amx;

// For AMX too, whose operands are laid out alike.
void products_pack_left_avx512_bf16(ckernels_number_part part, const float *a, size_t stride, bool transposed,
                                    size_t rows, size_t depth, size_t units, uint32_t *packed, size_t packed_stride);
void products_pack_right_avx512_bf16(ckernels_number_part part, const float *b, size_t stride, bool transposed,
                                     size_t columns, size_t depth, size_t units, uint32_t *packed);

void products_pack_left_bfloat16_avx512_bf16(ckernels_number_part part, const uint16_t *a, size_t stride,
                                             bool transposed, size_t rows, size_t depth, size_t units,
                                             uint32_t *packed, size_t packed_stride);
void products_pack_right_bfloat16_avx512_bf16(ckernels_number_part part, const uint16_t *b, size_t stride,
                                              bool transposed, size_t columns, size_t depth, size_t units,
                                              uint32_t *packed);

// For all paths of vectors of floats.
void products_pack_left_avx2(ckernels_number_part part, const float *a, size_t stride, bool transposed, size_t rows,
                             size_t depth, size_t units, uint32_t *packed, size_t packed_stride);
void products_pack_right_avx2(ckernels_number_part part, const float *b, size_t stride, bool transposed,
                              size_t columns, size_t depth, size_t units, uint32_t *packed);
void products_pack_left_bfloat16_avx2(ckernels_number_part part, const uint16_t *a, size_t stride, bool transposed,
                                      size_t rows, size_t depth, size_t units, uint32_t *packed, size_t packed_stride);
void products_pack_right_bfloat16_avx2(ckernels_number_part part, const uint16_t *b, size_t stride, bool transposed,
                                       size_t columns, size_t depth, size_t units, uint32_t *packed);
#endif

// Packing in plain C, into units of one float or of two bfloat16 numbers.
void products_pack_left_single(ckernels_number_part part, const float *a, size_t stride, bool transposed, size_t rows,
                               size_t depth, size_t units, uint32_t *packed, size_t packed_stride);
void products_pack_right_single(ckernels_number_part part, const float *b, size_t stride, bool transposed,
                                size_t columns, size_t depth, size_t units, uint32_t *packed);
void products_pack_left_pair(ckernels_number_part part, const float *a, size_t stride, bool transposed, size_t rows,
                             size_t depth, size_t units, uint32_t *packed, size_t packed_stride);
void products_pack_right_pair(ckernels_number_part part, const float *b, size_t stride, bool transposed,
                              size_t columns, size_t depth, size_t units, uint32_t *packed);

// The same of operands that are bfloat16 numbers already.
void products_pack_left_single_bfloat16(ckernels_number_part part, const uint16_t *a, size_t stride, bool transposed,
                                        size_t rows, size_t depth, size_t units, uint32_t *packed,
                                        size_t packed_stride);
void products_pack_right_single_bfloat16(ckernels_number_part part, const uint16_t *b, size_t stride, bool transposed,
                                         size_t columns, size_t depth, size_t units, uint32_t *packed);
void products_pack_left_pair_bfloat16(ckernels_number_part part, const uint16_t *a, size_t stride, bool transposed,
                                      size_t rows, size_t depth, size_t units, uint32_t *packed,
                                      size_t packed_stride);
void products_pack_right_pair_bfloat16(ckernels_number_part part, const uint16_t *b, size_t stride, bool transposed,
                                       size_t columns, size_t depth, size_t units, uint32_t *packed);

#endif
