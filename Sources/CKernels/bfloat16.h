// One bfloat16 number in plain C.
#ifndef CKERNELS_BFLOAT16_H
#define CKERNELS_BFLOAT16_H

#include <string.h>

#include "CKernels.h"
#include "multiversion.h"

INLINE uint32_t bits_of_number(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

INLINE float number_of_bits(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

// The upper half of the nearest bfloat16 number's bits; a NaN is made quiet. Where it `flushes`, a denormal number becomes 0, as by
// VCVTNEPS2BF16.
INLINE uint32_t rounded_to_bfloat16(float x, const bool flushes) {
  const uint32_t bits = bits_of_number(x);
  const uint32_t magnitude = bits & 0x7fffffff;
  const uint32_t nearest = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  const uint32_t result = magnitude > 0x7f800000 ? (bits >> 16) | 0x40 : nearest;
  return flushes && magnitude < 0x00800000 ? (bits >> 16) & 0x8000 : result;
}

#endif
