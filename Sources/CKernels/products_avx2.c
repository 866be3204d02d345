// Bfloat16 numbers widened to float and multiplied by FMA, with vectors of 256 bits.
#include "products.h"

#if defined(__x86_64__)

#include <immintrin.h>

#pragma STDC FP_CONTRACT OFF

#define TARGET __attribute__((target("avx2,fma")))
// Rows of a tile: 2 · 6 sums, two vectors of the panel and one of the left operand are less than 16 registers.
#define TILE_ROWS 6

// The first `count` of 8 columns.
TARGET INLINE __m256i first_columns(size_t count) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)(count < 8 ? count : 8)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

// `rows` is a constant wherever this is inlined.
TARGET INLINE void multiply_tile(const size_t rows, size_t units, const float *left, size_t left_stride,
                                 const float *right, float alpha, float *c, size_t stride, bool accumulates,
                                 size_t width) {
  __m256 sums[2 * TILE_ROWS];
#pragma clang loop unroll(full)
  for (size_t row = 0; row < rows; ++row) {
    sums[2 * row] = sums[2 * row + 1] = _mm256_setzero_ps();
    _mm_prefetch((const char *)(c + row * stride), _MM_HINT_T0);
  }
#pragma clang loop unroll(disable)
  for (size_t unit = 0; unit < units; ++unit) {
    const __m256 first = _mm256_loadu_ps(right + 16 * unit), second = _mm256_loadu_ps(right + 16 * unit + 8);
#pragma clang loop unroll(full)
    for (size_t row = 0; row < rows; ++row) {
      const __m256 x = _mm256_broadcast_ss(left + row * left_stride + unit);
      sums[2 * row] = _mm256_fmadd_ps(x, first, sums[2 * row]);
      sums[2 * row + 1] = _mm256_fmadd_ps(x, second, sums[2 * row + 1]);
    }
  }
  const __m256 factor = _mm256_set1_ps(alpha);
  const __m256i masks[2] = {first_columns(width), first_columns(width > 8 ? width - 8 : 0)};
#pragma clang loop unroll(full)
  for (size_t index = 0; index < 2 * rows; ++index) {
    float *target = c + index / 2 * stride + index % 2 * 8;
    __m256 result = _mm256_mul_ps(factor, sums[index]);
    if (accumulates) result = _mm256_add_ps(result, _mm256_maskload_ps(target, masks[index % 2]));
    _mm256_maskstore_ps(target, masks[index % 2], result);
  }
}

#define CASE(ROWS)                                                                                      \
  case ROWS:                                                                                            \
    multiply_tile(ROWS, units, numbers, left_stride, panel, alpha, target, stride, accumulates, width); \
    break;

TARGET static void multiply(size_t rows, size_t columns, size_t units, const uint32_t *left, size_t left_stride,
                            const uint32_t *right, float alpha, float *c, size_t stride, bool accumulates) {
  // Tiles of about equal height, as with wide vectors.
  const size_t tiles = (rows + TILE_ROWS - 1) / TILE_ROWS;
  for (size_t column = 0; column < columns; column += CKERNELS_PANEL_COLUMNS) {
    const float *panel = (const float *)(const void *)(right + column * units);
    const size_t width = columns - column;
    for (size_t tile = 0; tile < tiles; ++tile) {
      const size_t row = rows * tile / tiles, end = rows * (tile + 1) / tiles;
      const float *numbers = (const float *)(const void *)(left + row * left_stride);
      float *target = c + row * stride + column;
      switch (end - row) {
        CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6)
      }
    }
  }
}

// On 12 sums that stay in registers.
TARGET static double peak(size_t rounds) {
  __m256 sums[12];
  for (int index = 0; index < 12; ++index) sums[index] = _mm256_setzero_ps();
  __m256 x = _mm256_set1_ps(1);
  for (size_t round = 0; round < rounds; ++round) {
#pragma clang loop unroll(full)
    for (int index = 0; index < 12; ++index) sums[index] = _mm256_fmadd_ps(x, x, sums[index]);
    // Changed as far as the compiler knows, so that it leaves the loop as it is.
    __asm__ volatile("" : "+x"(x));
  }
  for (int index = 1; index < 12; ++index) sums[0] = _mm256_add_ps(sums[0], sums[index]);
  __asm__ volatile("" : : "x"(sums[0]));
  return 12.0 * 8 * 2 * (double)rounds;
}

const product_kernels products_avx2 = {.pack_left = products_pack_left_avx2,
                                       .pack_right = products_pack_right_avx2,
                                       .pack_left_bfloat16 = products_pack_left_bfloat16_avx2,
                                       .pack_right_bfloat16 = products_pack_right_bfloat16_avx2,
                                       .multiply = multiply,
                                       .peak = peak};

#endif
