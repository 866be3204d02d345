// Bfloat16 numbers widened to float and multiplied by FMA, with vectors of 512 bits.
#include "products.h"

#if defined(__x86_64__)

#pragma STDC FP_CONTRACT OFF

#define TARGET __attribute__((target("avx512f,avx512cd,avx512bw,avx512dq,avx512vl,avx2,fma")))
#define DEPTH 1
#define ADD_PRODUCT(sum, a, b) _mm512_fmadd_ps(a, b, sum)

#include <immintrin.h>

// 16 numbers rounded as `rounded_to_bfloat16` has it.
TARGET INLINE __m512i rounded(__m512i bits) {
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i nearest = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd);
  const __m512i magnitude = _mm512_and_si512(bits, _mm512_set1_epi32(0x7fffffff));
  const __mmask16 is_nan = _mm512_cmpgt_epi32_mask(magnitude, _mm512_set1_epi32(0x7f800000));
  const __m512i quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x00400000));
  return _mm512_and_si512(_mm512_mask_mov_epi32(nearest, is_nan, quiet), _mm512_set1_epi32((int)0xffff0000));
}

TARGET INLINE __m512i along_float(ckernels_number_part part, const float *source, size_t left) {
  (void)part;
  return rounded(_mm512_maskz_loadu_epi32(left >= 16 ? 0xffff : (__mmask16)((1u << left) - 1), source));
}

TARGET INLINE __m512i across_float(ckernels_number_part part, const float *source, size_t stride, size_t left,
                             size_t width) {
  (void)stride;
  (void)left;
  return along_float(part, source, width);
}

#include "products_wide.inc"

#define NAME(base) base##_float
#define SOURCE float
#include "products_wide_packing.inc"

const product_kernels products_avx512 = {
    .pack_left = pack_left_float,
    .pack_right = pack_right_float,
    .pack_left_bfloat16 = products_pack_left_bfloat16_avx2,
    .pack_right_bfloat16 = products_pack_right_bfloat16_avx2,
    .multiply = multiply,
    .peak = peak};

#endif
