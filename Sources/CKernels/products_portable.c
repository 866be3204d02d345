// Packing in plain C for the paths without their own, and the products of processors without AVX2.
#include "products_numbers.h"

// Products and sums are rounded one after the other whatever the processor has.
#pragma STDC FP_CONTRACT OFF

#define NAME(base) base##_single
#define SOURCE float
#define DEPTH 1
#define UNIT(source, step, left) (rounded_to_bfloat16(*(source), false) << 16)
#include "products_packing.inc"
#undef NAME
#undef SOURCE
#undef UNIT

#define NAME(base) base##_single_bfloat16
#define SOURCE uint16_t
#define UNIT(source, step, left) ((uint32_t)*(source) << 16)
#include "products_packing.inc"
#undef NAME
#undef DEPTH
#undef UNIT

#define NAME(base) base##_pair_bfloat16
#define DEPTH 2
#define UNIT(source, step, left) (*(source) | ((left) > 1 ? (uint32_t)(source)[step] << 16 : 0))
#include "products_packing.inc"
#undef NAME
#undef SOURCE
#undef UNIT

#define NAME(base) base##_pair
#define SOURCE float
#define UNIT(source, step, left) \
  (bfloat16_part(part, *(source)) | ((left) > 1 ? bfloat16_part(part, (source)[step]) << 16 : 0))
#include "products_packing.inc"

MULTIVERSION static void multiply(size_t rows, size_t columns, size_t units, const uint32_t *left, size_t left_stride,
                                  const uint32_t *right, float alpha, float *c, size_t stride, bool accumulates) {
  for (size_t first = 0; first < columns; first += CKERNELS_PANEL_COLUMNS) {
    const float *panel = (const float *)(const void *)(right + first * units);
    const size_t width = columns - first < CKERNELS_PANEL_COLUMNS ? columns - first : CKERNELS_PANEL_COLUMNS;
    for (size_t row = 0; row < rows; ++row) {
      const float *numbers = (const float *)(const void *)(left + row * left_stride);
      float sums[CKERNELS_PANEL_COLUMNS] = {0};
      for (size_t unit = 0; unit < units; ++unit) {
        for (size_t column = 0; column < CKERNELS_PANEL_COLUMNS; ++column) {
          sums[column] += numbers[unit] * panel[CKERNELS_PANEL_COLUMNS * unit + column];
        }
      }
      float *target = c + row * stride + first;
      for (size_t column = 0; column < width; ++column) {
        const float product = alpha * sums[column];
        target[column] = accumulates ? product + target[column] : product;
      }
    }
  }
}

const product_kernels products_portable = {.pack_left = products_pack_left_single,
                                           .pack_right = products_pack_right_single,
                                           .pack_left_bfloat16 = products_pack_left_single_bfloat16,
                                           .pack_right_bfloat16 = products_pack_right_single_bfloat16,
                                           .multiply = multiply,
                                           .peak = NULL};
