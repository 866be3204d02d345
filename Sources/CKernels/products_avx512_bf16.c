// Pairs of bfloat16 numbers multiplied by VDPBF16PS. Also the packing for AMX, whose operands are laid out alike.
#include "products.h"

#if defined(__x86_64__)

#pragma STDC FP_CONTRACT OFF

#define TARGET __attribute__((target("avx512f,avx512cd,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma")))
#define DEPTH 2
#define ADD_PRODUCT(sum, a, b) _mm512_dpbf16_ps(sum, (__m512bh)(a), (__m512bh)(b))

#include <immintrin.h>

TARGET INLINE __m512 loaded(const float *source, size_t count) {
  return _mm512_maskz_loadu_ps(count >= 16 ? 0xffff : (__mmask16)((1u << count) - 1), source);
}

// What rounding to bfloat16 leaves; 0 where it gives NaN or an infinity.
TARGET INLINE __m512 rest(__m512 x) {
  const __m512i high = _mm512_slli_epi32(_mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(x)), 16);
  const __m512i exponent = _mm512_set1_epi32(0x7f800000);
  const __mmask16 is_finite = _mm512_cmpneq_epi32_mask(_mm512_and_si512(high, exponent), exponent);
  return _mm512_maskz_sub_ps(is_finite, x, _mm512_castsi512_ps(high));
}

// `first` in the lower half, in the order of its numbers, and `second` in the upper one.
TARGET INLINE __m512i halves(ckernels_number_part part, __m512 first, __m512 second) {
  if (part == CKERNELS_LOW_PART) return (__m512i)_mm512_cvtne2ps_pbh(rest(second), rest(first));
  return (__m512i)_mm512_cvtne2ps_pbh(second, first);
}

TARGET INLINE __m512i along_float(ckernels_number_part part, const float *source, size_t left) {
  const __m512 first = loaded(source, left);
  return halves(part, first, left > 16 ? loaded(source + 16, left - 16) : _mm512_setzero_ps());
}

TARGET INLINE __m512i across_float(ckernels_number_part part, const float *source, size_t stride, size_t left,
                             size_t width) {
  const __m512 first = loaded(source, width);
  const __m512 second = left > 1 ? loaded(source + stride, width) : _mm512_setzero_ps();
  const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                                         21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  return _mm512_permutexvar_epi16(order, halves(part, first, second));
}

// Of bfloat16 numbers, whose pairs along a row are units as they lie.
TARGET INLINE __m512i along_bfloat16(ckernels_number_part part, const uint16_t *source, size_t left) {
  (void)part;
  return _mm512_maskz_loadu_epi16(left >= 32 ? 0xffffffff : (__mmask32)((1u << left) - 1), source);
}

TARGET INLINE __m512i across_bfloat16(ckernels_number_part part, const uint16_t *source, size_t stride, size_t left,
                                      size_t width) {
  (void)part;
  const __mmask16 columns = width >= 16 ? 0xffff : (__mmask16)((1u << width) - 1);
  const __m512i first = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(columns, source));
  if (left < 2) return first;
  return _mm512_or_si512(
      first, _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(columns, source + stride)), 16));
}

#include "products_wide.inc"

#define NAME(base) base##_float
#define SOURCE float
#include "products_wide_packing.inc"
#undef NAME
#undef SOURCE

#define NAME(base) base##_bfloat16
#define SOURCE uint16_t
#include "products_wide_packing.inc"

const product_kernels products_avx512_bf16 = {
    .pack_left = pack_left_float,
    .pack_right = pack_right_float,
    .pack_left_bfloat16 = pack_left_bfloat16,
    .pack_right_bfloat16 = pack_right_bfloat16,
    .multiply = multiply,
    .peak = peak};

void products_pack_left_avx512_bf16(ckernels_number_part part, const float *a, size_t stride, bool transposed,
                                    size_t rows, size_t depth, size_t units, uint32_t *packed, size_t packed_stride) {
  pack_left_float(part, a, stride, transposed, rows, depth, units, packed, packed_stride);
}

void products_pack_right_avx512_bf16(ckernels_number_part part, const float *b, size_t stride, bool transposed,
                                     size_t columns, size_t depth, size_t units, uint32_t *packed) {
  pack_right_float(part, b, stride, transposed, columns, depth, units, packed);
}

void products_pack_left_bfloat16_avx512_bf16(ckernels_number_part part, const uint16_t *a, size_t stride,
                                             bool transposed, size_t rows, size_t depth, size_t units,
                                             uint32_t *packed, size_t packed_stride) {
  pack_left_bfloat16(part, a, stride, transposed, rows, depth, units, packed, packed_stride);
}

void products_pack_right_bfloat16_avx512_bf16(ckernels_number_part part, const uint16_t *b, size_t stride,
                                              bool transposed, size_t columns, size_t depth, size_t units,
                                              uint32_t *packed) {
  pack_right_bfloat16(part, b, stride, transposed, columns, depth, units, packed);
}

#endif
