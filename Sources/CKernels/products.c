#include "products.h"

// A path that this kind of processor has no code for is the portable one: nobody chooses it, as its feature is missing.
static const product_kernels *kernels_of(ckernels_product_path path) {
  switch (path) {
    case CKERNELS_PRODUCT_EMULATED_FMA: return &products_emulated_fma;
    case CKERNELS_PRODUCT_EMULATED_AVX512_BF16: return &products_emulated_avx512_bf16;
    case CKERNELS_PRODUCT_EMULATED_AMX: return &products_emulated_amx;
#if defined(__x86_64__)
    case CKERNELS_PRODUCT_AVX2: return &products_avx2;
    case CKERNELS_PRODUCT_AVX512: return &products_avx512;
    case CKERNELS_PRODUCT_AVX512_BF16: return &products_avx512_bf16;
    case CKERNELS_PRODUCT_AMX: return &products_amx;
#endif
    default: return &products_portable;
  }
}

// Bits depend on `unit_depth`, `unit_multiple` and `longest_depth`, so they are the same for a path and its emulation, and for all paths of
// floats. Every block of depth reads and writes C once more, which costs more than panels that do not fit the first cache: of
// 2048 × 384 × 1536 at 2048, 1024, 512 and 256: 400, 365, 335 and 285 GFLOP/s (AVX512-BF16 of an AMD EPYC, family 26).
ckernels_product_layout ckernels_product_layout_of(ckernels_product_path path) {
  switch (path) {
    case CKERNELS_PRODUCT_AVX512_BF16:
    case CKERNELS_PRODUCT_EMULATED_AVX512_BF16:
      return (ckernels_product_layout){.unit_depth = 2, .unit_multiple = 1, .longest_depth = 2048, .row_multiple = 12};
    case CKERNELS_PRODUCT_AMX:
    case CKERNELS_PRODUCT_EMULATED_AMX:
      return (ckernels_product_layout){.unit_depth = 2, .unit_multiple = 16, .longest_depth = 1024, .row_multiple = 32};
    default:
      return (ckernels_product_layout){.unit_depth = 1, .unit_multiple = 1, .longest_depth = 768, .row_multiple = 12};
  }
}

void ckernels_pack_left(ckernels_product_path path, ckernels_number_part part, const float *a, size_t stride,
                        bool transposed, size_t rows, size_t depth, size_t units, uint32_t *packed,
                        size_t packed_stride) {
  kernels_of(path)->pack_left(part, a, stride, transposed, rows, depth, units, packed, packed_stride);
}

void ckernels_pack_right(ckernels_product_path path, ckernels_number_part part, const float *b, size_t stride,
                         bool transposed, size_t columns, size_t depth, size_t units, uint32_t *packed) {
  kernels_of(path)->pack_right(part, b, stride, transposed, columns, depth, units, packed);
}

void ckernels_pack_left_bfloat16(ckernels_product_path path, const uint16_t *a, size_t stride, bool transposed,
                                 size_t rows, size_t depth, size_t units, uint32_t *packed, size_t packed_stride) {
  kernels_of(path)->pack_left_bfloat16(CKERNELS_HIGH_PART, a, stride, transposed, rows, depth, units, packed,
                                       packed_stride);
}

void ckernels_pack_right_bfloat16(ckernels_product_path path, const uint16_t *b, size_t stride, bool transposed,
                                  size_t columns, size_t depth, size_t units, uint32_t *packed) {
  kernels_of(path)->pack_right_bfloat16(CKERNELS_HIGH_PART, b, stride, transposed, columns, depth, units, packed);
}

void ckernels_multiply_packed(ckernels_product_path path, size_t rows, size_t columns, size_t units,
                              const uint32_t *left, size_t left_stride, const uint32_t *right, float alpha, float *c,
                              size_t stride, bool accumulates) {
  kernels_of(path)->multiply(rows, columns, units, left, left_stride, right, alpha, c, stride, accumulates);
}

double ckernels_product_peak(ckernels_product_path path, size_t rounds) {
  const product_kernels *kernels = kernels_of(path);
  return kernels->peak ? kernels->peak(rounds) : 0;
}
