#include "panel_products.h"

#include "CKernels.h"
#include "multiversion.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define AVX512 __attribute__((target("avx512f,avx512vl,avx512bw,avx512dq,fma")))
#define COLUMNS CKERNELS_PANEL_COLUMNS
#define ROWS CKERNELS_STRIP_ROWS
#define STEP CKERNELS_STRIP_STEP

bool ckernels_has_panel_products(void) {
  __builtin_cpu_init();
  return ckernels_vector_bits() == 512 && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq");
}

// -- Packing

// The transpose of 16 × 16 numbers: pairs, fours, then quarters of vectors change places.
INLINE AVX512 void transpose_square(const float *from, size_t stride, float *to, size_t to_stride) {
  __m512 r[16], t[16];
  for (int i = 0; i < 16; ++i) r[i] = _mm512_loadu_ps(from + i * stride);
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    __m512d a = _mm512_castps_pd(t[i]), b = _mm512_castps_pd(t[i + 1]);
    __m512d c = _mm512_castps_pd(t[i + 2]), d = _mm512_castps_pd(t[i + 3]);
    r[i] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, c));
    r[i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, c));
    r[i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(b, d));
    r[i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(b, d));
  }
  for (int i = 0; i < 4; ++i) {
    t[i] = _mm512_shuffle_f32x4(r[i], r[4 + i], 0x88);
    t[4 + i] = _mm512_shuffle_f32x4(r[i], r[4 + i], 0xdd);
    t[8 + i] = _mm512_shuffle_f32x4(r[8 + i], r[12 + i], 0x88);
    t[12 + i] = _mm512_shuffle_f32x4(r[8 + i], r[12 + i], 0xdd);
  }
  for (int i = 0; i < 8; ++i) {
    _mm512_storeu_ps(to + i * to_stride, _mm512_shuffle_f32x4(t[i], t[8 + i], 0x88));
    _mm512_storeu_ps(to + (8 + i) * to_stride, _mm512_shuffle_f32x4(t[i], t[8 + i], 0xdd));
  }
}

static AVX512 void pack_transposed(size_t depth, size_t columns, const float *b, size_t stride, float *panels) {
  for (size_t first = 0; first < columns; first += 16) {
    float *panel = panels + first / COLUMNS * COLUMNS * depth + first % COLUMNS;
    size_t width = columns - first < 16 ? columns - first : 16;
    size_t p = 0;
    if (width == 16) {
      for (; p + 16 <= depth; p += 16) transpose_square(b + first * stride + p, stride, panel + p * COLUMNS, COLUMNS);
    }
    for (; p < depth; ++p) {
      for (size_t j = 0; j < 16; ++j) panel[p * COLUMNS + j] = j < width ? b[(first + j) * stride + p] : 0;
    }
  }
  if (columns % COLUMNS > 0 && columns % COLUMNS <= 16) {
    float *panel = panels + columns / COLUMNS * COLUMNS * depth + 16;
    for (size_t p = 0; p < depth; ++p) _mm512_storeu_ps(panel + p * COLUMNS, _mm512_setzero_ps());
  }
}

// The first `count` of 16 places.
INLINE AVX512 __mmask16 places(size_t count) { return (__mmask16)(count >= 16 ? 0xffff : (1u << count) - 1); }

AVX512 void ckernels_pack_panels(bool transposed, size_t depth, size_t columns, const float *b, size_t stride,
                                 float *panels) {
  if (transposed) {
    pack_transposed(depth, columns, b, stride, panels);
    return;
  }
  // A row of B at a time, so that memory is read in one run.
  for (size_t p = 0; p < depth; ++p) {
    const float *row = b + p * stride;
    float *target = panels + p * COLUMNS;
    size_t j = 0;
    for (; j + COLUMNS <= columns; j += COLUMNS) {
      _mm512_storeu_ps(target, _mm512_loadu_ps(row + j));
      _mm512_storeu_ps(target + 16, _mm512_loadu_ps(row + j + 16));
      target += COLUMNS * depth;
    }
    if (j < columns) {
      size_t left = columns - j;
      _mm512_storeu_ps(target, _mm512_maskz_loadu_ps(places(left), row + j));
      _mm512_storeu_ps(target + 16, _mm512_maskz_loadu_ps(places(left > 16 ? left - 16 : 0), row + j + 16));
    }
  }
}

AVX512 void ckernels_pack_strips(size_t depth, size_t rows, const float *a, size_t stride, float *strips) {
  for (size_t p = 0; p < depth; ++p) {
    const float *row = a + p * stride;
    float *target = strips + p * STEP;
    for (size_t i = 0; i < rows; i += ROWS) {
      size_t left = rows - i;
      _mm512_storeu_ps(target, _mm512_maskz_loadu_ps(places(left), row + i));
      target += STEP * depth;
    }
  }
}

// -- Multiplying

// `rows` of C by one panel. Number (i, p) of A is a[i · row_step + p · step]; rows and step are constants wherever this is
// inlined.
INLINE AVX512 void multiply_panel(const int rows, const size_t step, size_t depth, float alpha, const float *a,
                                  size_t row_step, const float *panel, bool accumulates, float *c, size_t c_stride,
                                  __mmask16 first, __mmask16 second) {
  __m512 low[ROWS], high[ROWS];
#pragma clang loop unroll(full)
  for (int i = 0; i < rows; ++i) {
    low[i] = _mm512_setzero_ps();
    high[i] = _mm512_setzero_ps();
  }
  // C comes from memory while the sums are formed; a small product's is in cache.
  if (depth >= 128) {
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; ++i) {
      __builtin_prefetch(c + i * c_stride, 1, 3);
      __builtin_prefetch(c + i * c_stride + 16, 1, 3);
      __builtin_prefetch(c + i * c_stride + 31, 1, 3);
    }
  }
  // Few base pointers, with multiples that an address can hold.
  const float *a0 = a, *a3 = a + 3 * row_step, *a6 = a + 6 * row_step, *a9 = a + 9 * row_step, *a12 = a + 12 * row_step;
  for (size_t p = 0; p < depth; ++p) {
    __m512 b0 = _mm512_loadu_ps(panel), b1 = _mm512_loadu_ps(panel + 16);
    panel += COLUMNS;
#define ADD_ROW(I, BASE, OFFSET)                    \
  if (rows > I) {                                   \
    __m512 x = _mm512_set1_ps(BASE[OFFSET]);        \
    low[I] = _mm512_fmadd_ps(x, b0, low[I]);        \
    high[I] = _mm512_fmadd_ps(x, b1, high[I]);      \
  }
    ADD_ROW(0, a0, 0)
    ADD_ROW(1, a0, row_step)
    ADD_ROW(2, a0, 2 * row_step)
    ADD_ROW(3, a3, 0)
    ADD_ROW(4, a3, row_step)
    ADD_ROW(5, a3, 2 * row_step)
    ADD_ROW(6, a6, 0)
    ADD_ROW(7, a6, row_step)
    ADD_ROW(8, a6, 2 * row_step)
    ADD_ROW(9, a9, 0)
    ADD_ROW(10, a9, row_step)
    ADD_ROW(11, a9, 2 * row_step)
    ADD_ROW(12, a12, 0)
    ADD_ROW(13, a12, row_step)
#undef ADD_ROW
    a0 += step;
    a3 += step;
    a6 += step;
    a9 += step;
    a12 += step;
  }
  __m512 factor = _mm512_set1_ps(alpha);
#pragma clang loop unroll(full)
  for (int i = 0; i < rows; ++i) {
    float *target = c + i * c_stride;
    __m512 before = accumulates ? _mm512_maskz_loadu_ps(first, target) : _mm512_setzero_ps();
    __m512 after = accumulates ? _mm512_maskz_loadu_ps(second, target + 16) : _mm512_setzero_ps();
    _mm512_mask_storeu_ps(target, first, _mm512_fmadd_ps(factor, low[i], before));
    _mm512_mask_storeu_ps(target + 16, second, _mm512_fmadd_ps(factor, high[i], after));
  }
}

#define FOR_ROWS(CALL)                                                                                             \
  switch (rows) {                                                                                                  \
    case 1: CALL(1); break;                                                                                        \
    case 2: CALL(2); break;                                                                                        \
    case 3: CALL(3); break;                                                                                        \
    case 4: CALL(4); break;                                                                                        \
    case 5: CALL(5); break;                                                                                        \
    case 6: CALL(6); break;                                                                                        \
    case 7: CALL(7); break;                                                                                        \
    case 8: CALL(8); break;                                                                                        \
    case 9: CALL(9); break;                                                                                        \
    case 10: CALL(10); break;                                                                                      \
    case 11: CALL(11); break;                                                                                      \
    case 12: CALL(12); break;                                                                                      \
    case 13: CALL(13); break;                                                                                      \
    case 14: CALL(14); break;                                                                                      \
  }

static AVX512 void multiply_rows_panel(size_t rows, size_t depth, float alpha, const float *a, size_t stride,
                                       const float *panel, bool accumulates, float *c, size_t c_stride,
                                       __mmask16 first, __mmask16 second) {
#define CALL(N) multiply_panel(N, 1, depth, alpha, a, stride, panel, accumulates, c, c_stride, first, second)
  FOR_ROWS(CALL)
#undef CALL
}

static AVX512 void multiply_strip_panel(size_t rows, size_t depth, float alpha, const float *strip, const float *panel,
                                        bool accumulates, float *c, size_t c_stride, __mmask16 first,
                                        __mmask16 second) {
#define CALL(N) multiply_panel(N, STEP, depth, alpha, strip, 1, panel, accumulates, c, c_stride, first, second)
  FOR_ROWS(CALL)
#undef CALL
}

// Numbers [from, to) of the next rows of A, on their way from memory while others are multiplied.
INLINE void fetch_ahead(const float *a, size_t stride, size_t from, size_t to) {
  for (size_t i = 0; i < ROWS; ++i) {
    for (size_t p = from; p < to; p += 16) __builtin_prefetch(a + i * stride + p, 0, 2);
  }
}

AVX512 void ckernels_multiply_rows(size_t rows, size_t columns, size_t depth, float alpha, const float *a,
                                   size_t stride, size_t rows_after, const float *panels, bool accumulates, float *c,
                                   size_t c_stride) {
  size_t panel_count = (columns + COLUMNS - 1) / COLUMNS;
  size_t share = (depth / panel_count + 16) / 16 * 16;
  for (size_t i = 0; i < rows; i += ROWS) {
    size_t height = rows - i < ROWS ? rows - i : ROWS;
    bool has_next = i + 2 * ROWS <= rows + rows_after;
    for (size_t panel = 0; panel < panel_count; ++panel) {
      size_t left = columns - panel * COLUMNS;
      if (has_next && panel * share < depth) {
        size_t end = (panel + 1) * share < depth ? (panel + 1) * share : depth;
        fetch_ahead(a + (i + ROWS) * stride, stride, panel * share, end);
      }
      multiply_rows_panel(height, depth, alpha, a + i * stride, stride, panels + panel * COLUMNS * depth, accumulates,
                          c + i * c_stride + panel * COLUMNS, c_stride, places(left), places(left > 16 ? left - 16 : 0));
    }
  }
}

AVX512 void ckernels_multiply_strips(size_t rows, size_t columns, size_t depth, float alpha, const float *strips,
                                     const float *panels, bool accumulates, float *c, size_t c_stride) {
  for (size_t i = 0; i < rows; i += ROWS) {
    size_t height = rows - i < ROWS ? rows - i : ROWS;
    for (size_t first = 0; first < columns; first += COLUMNS) {
      size_t left = columns - first;
      multiply_strip_panel(height, depth, alpha, strips + i / ROWS * STEP * depth, panels + first * depth, accumulates,
                           c + i * c_stride + first, c_stride, places(left), places(left > 16 ? left - 16 : 0));
    }
  }
}

#else

bool ckernels_has_panel_products(void) { return false; }

void ckernels_pack_panels(bool transposed, size_t depth, size_t columns, const float *b, size_t stride, float *panels) {
  (void)transposed, (void)depth, (void)columns, (void)b, (void)stride, (void)panels;
}

void ckernels_pack_strips(size_t depth, size_t rows, const float *a, size_t stride, float *strips) {
  (void)depth, (void)rows, (void)a, (void)stride, (void)strips;
}

void ckernels_multiply_rows(size_t rows, size_t columns, size_t depth, float alpha, const float *a, size_t stride,
                            size_t rows_after, const float *panels, bool accumulates, float *c, size_t c_stride) {
  (void)rows, (void)columns, (void)depth, (void)alpha, (void)a, (void)stride, (void)rows_after, (void)panels;
  (void)accumulates, (void)c, (void)c_stride;
}

void ckernels_multiply_strips(size_t rows, size_t columns, size_t depth, float alpha, const float *strips,
                              const float *panels, bool accumulates, float *c, size_t c_stride) {
  (void)rows, (void)columns, (void)depth, (void)alpha, (void)strips, (void)panels, (void)accumulates, (void)c;
  (void)c_stride;
}

#endif
