// Pairs of bfloat16 numbers multiplied in tiles by TDPBF16PS (AMX). Four tiles of sums, 32 × 32; two of each operand.
#include "products.h"

#if defined(__x86_64__)

#include <immintrin.h>

#pragma STDC FP_CONTRACT OFF

#define TARGET __attribute__((target("amx-tile,amx-bf16,avx512f,avx512cd,avx512bw,avx512dq,avx512vl,avx2,fma")))

// Every tile has 16 rows of 64 bytes. The layout is LDTILECFG's.
static const struct {
  uint8_t palette, start_row, reserved[14];
  uint16_t row_bytes[16];
  uint8_t rows[16];
} __attribute__((aligned(64))) tile_shapes = {
    .palette = 1, .row_bytes = {64, 64, 64, 64, 64, 64, 64, 64}, .rows = {16, 16, 16, 16, 16, 16, 16, 16}};

// sums = left · right of 32 rows and 32 columns; of 16 columns where there is one panel.
TARGET static void multiply_tiles(size_t units, const uint32_t *left, size_t left_stride, const uint32_t *right,
                                  bool has_second, float *sums) {
  const size_t left_bytes = left_stride * sizeof *left;
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (size_t unit = 0; unit < units; unit += 16) {
    _tile_loadd(4, left + unit, left_bytes);
    _tile_loadd(5, left + 16 * left_stride + unit, left_bytes);
    _tile_loadd(6, right + 16 * unit, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(2, 5, 6);
    if (has_second) {
      _tile_loadd(7, right + 16 * (units + unit), 64);
      _tile_dpbf16ps(1, 4, 7);
      _tile_dpbf16ps(3, 5, 7);
    }
  }
  _tile_stored(0, sums, 128);
  _tile_stored(1, sums + 16, 128);
  _tile_stored(2, sums + 16 * 32, 128);
  _tile_stored(3, sums + 16 * 32 + 16, 128);
}

TARGET static void multiply(size_t rows, size_t columns, size_t units, const uint32_t *left, size_t left_stride,
                            const uint32_t *right, float alpha, float *c, size_t stride, bool accumulates) {
  float sums[32 * 32] __attribute__((aligned(64)));
  const __m512 factor = _mm512_set1_ps(alpha);
  _tile_loadconfig(&tile_shapes);
  for (size_t column = 0; column < columns; column += 32) {
    const size_t width = columns - column < 32 ? columns - column : 32;
    for (size_t row = 0; row < rows; row += 32) {
      multiply_tiles(units, left + row * left_stride, left_stride, right + column * units, width > 16, sums);
      for (size_t index = row; index < rows && index < row + 32; ++index) {
        for (size_t place = 0; place < width; place += 16) {
          const __mmask16 mask = width - place >= 16 ? 0xffff : (__mmask16)((1u << (width - place)) - 1);
          float *target = c + index * stride + column + place;
          __m512 result = _mm512_mul_ps(factor, _mm512_load_ps(sums + (index - row) * 32 + place));
          if (accumulates) result = _mm512_add_ps(result, _mm512_maskz_loadu_ps(mask, target));
          _mm512_mask_storeu_ps(target, mask, result);
        }
      }
    }
  }
  _tile_release();
}

TARGET static double peak(size_t rounds) {
  _tile_loadconfig(&tile_shapes);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_zero(4);
  _tile_zero(6);
  for (size_t round = 0; round < rounds; ++round) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 6);
    _tile_dpbf16ps(2, 4, 6);
    _tile_dpbf16ps(3, 4, 6);
  }
  _tile_release();
  return 4.0 * 16 * 16 * 32 * 2 * (double)rounds;
}

const product_kernels products_amx = {.pack_left = products_pack_left_avx512_bf16,
                                      .pack_right = products_pack_right_avx512_bf16,
                                      .pack_left_bfloat16 = products_pack_left_bfloat16_avx512_bf16,
                                      .pack_right_bfloat16 = products_pack_right_bfloat16_avx512_bf16,
                                      .multiply = multiply,
                                      .peak = peak};

#endif
