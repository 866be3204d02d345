// Packing into units of one float with vectors of 256 bits: the bits of products_packing.inc.
#include "products.h"

#if defined(__x86_64__)

#include <immintrin.h>
#include <string.h>

#define TARGET __attribute__((target("avx2,fma")))

// The first `count` of 8 numbers.
TARGET INLINE __m256i first_numbers(size_t count) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)(count < 8 ? count : 8)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

// 8 numbers rounded as `rounded_to_bfloat16` has it.
TARGET INLINE __m256i rounded(__m256i bits) {
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const __m256i nearest = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), odd);
  const __m256i magnitude = _mm256_and_si256(bits, _mm256_set1_epi32(0x7fffffff));
  const __m256i is_nan = _mm256_cmpgt_epi32(magnitude, _mm256_set1_epi32(0x7f800000));
  const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x00400000));
  return _mm256_and_si256(_mm256_blendv_epi8(nearest, quiet, is_nan), _mm256_set1_epi32((int)0xffff0000));
}

// Units of 8 neighbours from element `place` on, of which `left` remain; the others 0. `is_narrow` is a constant wherever this is inlined.
TARGET INLINE __m256i units_of(const bool is_narrow, const void *numbers, size_t place, size_t left) {
  if (is_narrow) {
    const uint16_t *source = (const uint16_t *)numbers + place;
    uint16_t rest[8] = {0};
    if (left < 8) memcpy(rest, source, left * sizeof *rest);
    const __m128i bits = _mm_loadu_si128((const __m128i *)(const void *)(left < 8 ? rest : source));
    return _mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16);
  }
  const int *source = (const int *)(const void *)((const float *)numbers + place);
  return rounded(left < 8 ? _mm256_maskload_epi32(source, first_numbers(left))
                          : _mm256_loadu_si256((const __m256i *)(const void *)source));
}

TARGET INLINE void store(uint32_t *target, __m256i units) { _mm256_storeu_si256((__m256i *)(void *)target, units); }

// Rows of 8 units become columns.
TARGET INLINE void transpose(__m256i rows[8]) {
  __m256i t[8];
  for (int i = 0; i < 4; ++i) {
    t[2 * i] = _mm256_unpacklo_epi32(rows[2 * i], rows[2 * i + 1]);
    t[2 * i + 1] = _mm256_unpackhi_epi32(rows[2 * i], rows[2 * i + 1]);
  }
  __m256i u[8];
  for (int i = 0; i < 2; ++i) {
    u[4 * i] = _mm256_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
    u[4 * i + 1] = _mm256_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
    u[4 * i + 2] = _mm256_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
    u[4 * i + 3] = _mm256_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
  }
  for (int i = 0; i < 4; ++i) {
    rows[i] = _mm256_permute2x128_si256(u[i], u[i + 4], 0x20);
    rows[i + 4] = _mm256_permute2x128_si256(u[i], u[i + 4], 0x31);
  }
}

// What lies between a row's last unit and the next row may be overwritten, so that whole vectors are stored.
TARGET INLINE void pack_left(const bool is_narrow, const void *a, size_t stride, bool transposed, size_t rows,
                             size_t depth, uint32_t *packed, size_t packed_stride) {
  if (!transposed) {
    for (size_t row = 0; row < rows; ++row) {
      for (size_t unit = 0; unit < depth; unit += 8) {
        store(packed + row * packed_stride + unit, units_of(is_narrow, a, row * stride + unit, depth - unit));
      }
    }
    return;
  }
  for (size_t row = 0; row < rows; row += 8) {
    for (size_t unit = 0; unit < depth; unit += 8) {
      __m256i block[8];
      for (size_t index = 0; index < 8; ++index) {
        block[index] = unit + index < depth ? units_of(is_narrow, a, (unit + index) * stride + row, rows - row)
                                            : _mm256_setzero_si256();
      }
      transpose(block);
      for (size_t index = 0; index < 8 && row + index < rows; ++index) {
        store(packed + (row + index) * packed_stride + unit, block[index]);
      }
    }
  }
}

// 8 columns of 8 units each, from columns of the right operand that are stored as rows.
TARGET INLINE void pack_columns(const bool is_narrow, const void *b, size_t stride, size_t first, size_t columns,
                                size_t unit, size_t depth, uint32_t *half) {
  const size_t left = columns > first ? columns - first : 0;
  __m256i block[8];
  for (size_t index = 0; index < 8; ++index) {
    block[index] = index < left ? units_of(is_narrow, b, (first + index) * stride + unit, depth - unit)
                                : _mm256_setzero_si256();
  }
  transpose(block);
  for (size_t index = 0; index < 8 && unit + index < depth; ++index) {
    store(half + CKERNELS_PANEL_COLUMNS * (unit + index), block[index]);
  }
}

TARGET INLINE void pack_right(const bool is_narrow, const void *b, size_t stride, bool transposed, size_t columns,
                              size_t depth, size_t units, uint32_t *packed) {
  if (transposed) {
    for (size_t first = 0; first < columns; first += CKERNELS_PANEL_COLUMNS) {
      uint32_t *panel = packed + first * units;
      for (size_t unit = 0; unit < depth; unit += 8) {
        pack_columns(is_narrow, b, stride, first, columns, unit, depth, panel);
        pack_columns(is_narrow, b, stride, first + 8, columns, unit, depth, panel + 8);
      }
    }
    return;
  }
  // Some units of all panels, then the next: rows are read from their first column to their last.
  for (size_t start = 0; start < depth; start += 16) {
    const size_t end = depth - start < 16 ? depth : start + 16;
    for (size_t first = 0; first < columns; first += CKERNELS_PANEL_COLUMNS) {
      const size_t left = columns - first;
      for (size_t unit = start; unit < end; ++unit) {
        uint32_t *target = packed + first * units + CKERNELS_PANEL_COLUMNS * unit;
        store(target, units_of(is_narrow, b, unit * stride + first, left));
        store(target + 8, left > 8 ? units_of(is_narrow, b, unit * stride + first + 8, left - 8)
                                   : _mm256_setzero_si256());
      }
    }
  }
}

TARGET void products_pack_left_avx2(ckernels_number_part part, const float *a, size_t stride, bool transposed,
                                    size_t rows, size_t depth, size_t units, uint32_t *packed, size_t packed_stride) {
  (void)part;
  (void)units;
  pack_left(false, a, stride, transposed, rows, depth, packed, packed_stride);
}

TARGET void products_pack_right_avx2(ckernels_number_part part, const float *b, size_t stride, bool transposed,
                                     size_t columns, size_t depth, size_t units, uint32_t *packed) {
  (void)part;
  pack_right(false, b, stride, transposed, columns, depth, units, packed);
}

TARGET void products_pack_left_bfloat16_avx2(ckernels_number_part part, const uint16_t *a, size_t stride,
                                             bool transposed, size_t rows, size_t depth, size_t units,
                                             uint32_t *packed, size_t packed_stride) {
  (void)part;
  (void)units;
  pack_left(true, a, stride, transposed, rows, depth, packed, packed_stride);
}

TARGET void products_pack_right_bfloat16_avx2(ckernels_number_part part, const uint16_t *b, size_t stride,
                                              bool transposed, size_t columns, size_t depth, size_t units,
                                              uint32_t *packed) {
  (void)part;
  pack_right(true, b, stride, transposed, columns, depth, units, packed);
}

#endif
