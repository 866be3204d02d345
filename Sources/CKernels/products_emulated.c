// Loops in plain C in the order of each path's instructions and with their rounding, which the tests compare the paths with bit for bit.
#include <float.h>
#include <math.h>

#include "products_numbers.h"

#pragma STDC FP_CONTRACT OFF

INLINE float flushed(float x) { return fabsf(x) < FLT_MIN ? copysignf(0.0f, x) : x; }

// a·b + sum with one rounding to nearest, as VDPBF16PS and TDPBF16PS do it whatever the thread's settings are: denormal numbers count as 0,
// and a result that would be denormal had exponents no limit becomes 0. Rounded to a denormal's fewer digits a sum just below the
// smallest normal number becomes that number; scaled by 2²⁴ it is seen to be below.
static float flushing_fma(float a, float b, float sum) {
  const float x = flushed(a), y = flushed(b), z = flushed(sum);
  const float result = fmaf(x, y, z);
  if (fabsf(result) != FLT_MIN) return flushed(result);
  const float scale = 0x1p24f;
  const bool first_is_smaller = fabsf(x) < fabsf(y);
  const float scaled = fmaf(first_is_smaller ? x * scale : x, first_is_smaller ? y : y * scale, z * scale);
  return fabsf(scaled) < FLT_MIN * scale ? copysignf(0.0f, result) : result;
}

static float flushing_sum(float a, float b) { return flushing_fma(1.0f, a, b); }

INLINE float low_half(uint32_t unit) { return number_of_bits(unit << 16); }
INLINE float high_half(uint32_t unit) { return number_of_bits(unit & 0xffff0000); }

// One element of the product, before alpha; `right` begins at its column of a panel.
typedef float sum_of_units(size_t units, const uint32_t *left, const uint32_t *right);

static float sum_single(size_t units, const uint32_t *left, const uint32_t *right) {
  float sum = 0;
  for (size_t unit = 0; unit < units; ++unit) {
    sum = fmaf(number_of_bits(left[unit]), number_of_bits(right[CKERNELS_PANEL_COLUMNS * unit]), sum);
  }
  return sum;
}

static float sum_pairs(size_t units, const uint32_t *left, const uint32_t *right) {
  float sum = 0;
  for (size_t unit = 0; unit < units; ++unit) {
    const uint32_t a = left[unit], b = right[CKERNELS_PANEL_COLUMNS * unit];
    sum = flushing_fma(high_half(a), high_half(b), sum);
    sum = flushing_fma(low_half(a), low_half(b), sum);
  }
  return sum;
}

static float sum_tiles(size_t units, const uint32_t *left, const uint32_t *right) {
  float sum = 0;
  for (size_t start = 0; start < units; start += 16) {
    float even = 0, odd = 0;
    for (size_t unit = start; unit < start + 16; ++unit) {
      const uint32_t a = left[unit], b = right[CKERNELS_PANEL_COLUMNS * unit];
      even = flushing_fma(low_half(a), low_half(b), even);
      odd = flushing_fma(high_half(a), high_half(b), odd);
    }
    sum = flushing_sum(sum, flushing_sum(even, odd));
  }
  return sum;
}

static void multiply(sum_of_units *sum, size_t rows, size_t columns, size_t units, const uint32_t *left,
                     size_t left_stride, const uint32_t *right, float alpha, float *c, size_t stride,
                     bool accumulates) {
  for (size_t row = 0; row < rows; ++row) {
    for (size_t column = 0; column < columns; ++column) {
      const size_t place = column % CKERNELS_PANEL_COLUMNS;
      const float product = alpha * sum(units, left + row * left_stride, right + (column - place) * units + place);
      float *target = c + row * stride + column;
      *target = accumulates ? product + *target : product;
    }
  }
}

static void multiply_single(size_t rows, size_t columns, size_t units, const uint32_t *left, size_t left_stride,
                            const uint32_t *right, float alpha, float *c, size_t stride, bool accumulates) {
  multiply(sum_single, rows, columns, units, left, left_stride, right, alpha, c, stride, accumulates);
}

static void multiply_pairs(size_t rows, size_t columns, size_t units, const uint32_t *left, size_t left_stride,
                           const uint32_t *right, float alpha, float *c, size_t stride, bool accumulates) {
  multiply(sum_pairs, rows, columns, units, left, left_stride, right, alpha, c, stride, accumulates);
}

static void multiply_tiles(size_t rows, size_t columns, size_t units, const uint32_t *left, size_t left_stride,
                           const uint32_t *right, float alpha, float *c, size_t stride, bool accumulates) {
  multiply(sum_tiles, rows, columns, units, left, left_stride, right, alpha, c, stride, accumulates);
}

const product_kernels products_emulated_fma = {.pack_left = products_pack_left_single,
                                               .pack_right = products_pack_right_single,
                                               .pack_left_bfloat16 = products_pack_left_single_bfloat16,
                                               .pack_right_bfloat16 = products_pack_right_single_bfloat16,
                                               .multiply = multiply_single,
                                               .peak = NULL};
const product_kernels products_emulated_avx512_bf16 = {.pack_left = products_pack_left_pair,
                                                       .pack_right = products_pack_right_pair,
                                                       .pack_left_bfloat16 = products_pack_left_pair_bfloat16,
                                                       .pack_right_bfloat16 = products_pack_right_pair_bfloat16,
                                                       .multiply = multiply_pairs,
                                                       .peak = NULL};
const product_kernels products_emulated_amx = {.pack_left = products_pack_left_pair,
                                               .pack_right = products_pack_right_pair,
                                               .pack_left_bfloat16 = products_pack_left_pair_bfloat16,
                                               .pack_right_bfloat16 = products_pack_right_pair_bfloat16,
                                               .multiply = multiply_tiles,
                                               .peak = NULL};
